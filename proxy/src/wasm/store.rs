//! What the store of every guest has, whatever its ABI: a memory cap, a deadline, and a place in the count of instances.

use std::ops::DerefMut;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wasmtime::{Store, Trap, UpdateDeadline};

use super::clock::Clock;
use super::limits::{Budget, MemoryCap};
use super::{Engine, Env, LoadError};
use crate::chain::{Fault, FaultKind};

/// The most instances of one plugin at a time, in all workers: half of those that the engine has room for, as requests of an
/// http-wasm plugin hold one each while their upstream works. Beyond it calls fail rather than use the memory of others.
const MAX_INSTANCES: usize = 2048;

/// A component may always give so many bytes in one call, however little memory it has: on the way they take more.
const LEAST_PASSED: usize = 1 << 20;

/// What limits a guest. The data of every store dereferences to it.
pub(super) struct Guard {
    /// What the plugin is given.
    pub(super) env: Arc<Env>,
    /// Execution time.
    pub(super) budget: Budget,
    /// Linear memory.
    pub(super) memory: MemoryCap,
    /// The engine's clock, which must not sleep while the guest runs.
    pub(super) clock: Arc<Clock>,
    /// Whether the guest runs on a stack of its own, so that others on its worker can have their turn at each tick.
    pub(super) yields: bool,
}

impl Guard {
    pub(super) fn new(env: Arc<Env>, clock: Arc<Clock>) -> Self {
        let memory = MemoryCap::new(env.limits.memory);
        Self { env, budget: Budget::default(), memory, clock, yields: true }
    }

    /// The guest waited in a host function: that was not its time, and the clock may have gone to sleep meanwhile.
    pub(super) fn waited(&mut self) {
        self.budget.away = true;
        self.clock.hurry();
    }
}

/// A store with the memory cap and a deadline at which the guest yields to others on its worker. It has the time that
/// configuring may take.
pub(super) fn store<T>(engine: &Engine, data: T) -> Store<T>
where
    T: DerefMut<Target = Guard> + Send + 'static,
{
    let guest: &Guard = &data;
    let most = guest.env.limits.memory.max(LEAST_PASSED);
    let mut store = Store::new(engine.wasmtime(), data);
    // What a component gives in one call is copied, and what it gives can be the same bytes many times over.
    store.set_hostcall_fuel(most);
    store.limiter(|guest| &mut guest.memory);
    store.epoch_deadline_callback(|mut cx| {
        let guest: &mut Guard = cx.data_mut();
        guest.clock.hurry();
        if !guest.budget.tick() {
            return Ok(UpdateDeadline::Interrupt);
        }
        if !guest.yields {
            return Ok(UpdateDeadline::Continue(1));
        }
        // Others on this worker get their turn; the clock must tick again when this guest goes on.
        let clock = guest.clock.clone();
        Ok(UpdateDeadline::YieldCustom(
            1,
            Box::pin(async move {
                tokio::task::yield_now().await;
                clock.hurry();
            }),
        ))
    });
    begin(&mut store, super::limits::CONFIGURE_TIME);
    store
}

/// A call begins, which may execute for this long.
pub(super) fn begin<T>(store: &mut Store<T>, time: Duration)
where
    T: DerefMut<Target = Guard> + 'static,
{
    store.set_epoch_deadline(1);
    let guest: &mut Guard = store.data_mut();
    guest.budget.grant(time);
    if guest.yields || Clock::is_short(time) {
        guest.clock.hurry();
    } else {
        guest.clock.wake();
    }
}

/// What kind of failure an error is, and what happened.
pub(super) fn fault<T>(store: &Store<T>, error: &wasmtime::Error) -> Fault
where
    T: DerefMut<Target = Guard> + 'static,
{
    let guest: &Guard = store.data();
    let trap = error.downcast_ref::<Trap>().copied();
    if trap == Some(Trap::Interrupt) && guest.budget.is_spent() {
        let message = format!("the call ran longer than its limit of {:?}", guest.env.limits.time);
        return Fault { kind: FaultKind::Deadline, message };
    }
    if guest.memory.exceeded {
        let limit = guest.env.limits.memory;
        let message = format!("it asked for more than its limit of {limit} bytes of memory: {error:#}");
        return Fault { kind: FaultKind::Memory, message };
    }
    let kind = if trap.is_some() { FaultKind::Trap } else { FaultKind::Failed };
    Fault { kind, message: format!("{error:#}") }
}

/// Counts an instance of a plugin and its memory, for the cap and the gauges.
pub(super) struct Count {
    live: Arc<AtomicUsize>,
    env: Arc<Env>,
    memory: i64,
}

impl Count {
    /// One instance more, where the plugin may have one more.
    pub(super) fn new(live: &Arc<AtomicUsize>, env: &Arc<Env>) -> Result<Self, LoadError> {
        Self::up_to(MAX_INSTANCES, live, env)
    }

    /// One instance more, where there are fewer than `most`.
    pub(super) fn up_to(most: usize, live: &Arc<AtomicUsize>, env: &Arc<Env>) -> Result<Self, LoadError> {
        let before = live.fetch_add(1, Ordering::Relaxed);
        env.metrics.instances(0, 1);
        let count = Self { live: live.clone(), env: env.clone(), memory: 0 };
        if before >= most {
            return Err(LoadError::Failed(format!("all {most} instances are in use")));
        }
        Ok(count)
    }

    /// The instance has so many bytes of memory now.
    pub(super) fn memory(&mut self, bytes: usize) {
        let bytes = bytes as i64;
        if bytes != self.memory {
            self.env.metrics.memory(0, bytes - self.memory);
            self.memory = bytes;
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
        self.env.metrics.instances(0, -1);
        self.env.metrics.memory(0, -self.memory);
    }
}
