//! One instance of a guest, and a call of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wasmtime::component::{ComponentExportIndex, TypedFunc};
use wasmtime::{Store, Trap, UpdateDeadline};

use super::super::Env;
use super::guest::Guest;
use super::{LoadError, MAX_INSTANCES, Plugin};
use crate::chain::{Exchange, Fault, FaultKind, Phase};

/// One instance.
pub(super) struct Instance {
    store: Store<Guest>,
    instance: wasmtime::component::Instance,
    headers: [Option<TypedFunc<(), ()>>; Phase::ALL.len()],
    bodies: [Option<TypedFunc<(bool,), ()>>; 2],
    count: Count,
}

/// Counts an instance of a plugin and its memory, for the cap and the gauges.
struct Count {
    live: Arc<AtomicUsize>,
    env: Arc<Env>,
    memory: i64,
}

impl Count {
    fn new(live: &Arc<AtomicUsize>, env: &Arc<Env>) -> Result<Self, LoadError> {
        let before = live.fetch_add(1, Ordering::Relaxed);
        env.metrics.instances(0, 1);
        let count = Self { live: live.clone(), env: env.clone(), memory: 0 };
        if before >= MAX_INSTANCES {
            return Err(LoadError::Failed(format!("all {MAX_INSTANCES} instances are in use")));
        }
        Ok(count)
    }

    fn memory(&mut self, bytes: usize) {
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

impl Plugin {
    /// Makes an instance; it is not configured yet.
    pub(super) async fn instantiate(&self) -> Result<Box<Instance>, LoadError> {
        let count = Count::new(&self.live, &self.env)?;
        let guest = Guest::new(self.env.clone(), self.engine.clock().clone(), self.wasi);
        let mut store = Store::new(self.engine.wasmtime(), guest);
        store.limiter(|guest| &mut guest.memory);
        store.epoch_deadline_callback(|mut cx| {
            let guest = cx.data_mut();
            guest.clock.wake();
            if !guest.budget.tick() {
                return Ok(UpdateDeadline::Interrupt);
            }
            // Others on this worker get their turn; the clock must tick again when this guest goes on.
            let clock = guest.clock.clone();
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(async move {
                    tokio::task::yield_now().await;
                    clock.wake();
                }),
            ))
        });
        store.set_epoch_deadline(1);
        store.data_mut().budget.grant(super::super::limits::CONFIGURE_TIME);
        store.data().clock.wake();
        let instance = match self.pre.instantiate_async(&mut store).await {
            Ok(instance) => instance,
            Err(error) => return Err(LoadError::Failed(fault(&store, &error).message)),
        };
        let headers = [const { None }; Phase::ALL.len()];
        Ok(Box::new(Instance { store, instance, headers, bodies: [None, None], count }))
    }
}

impl Instance {
    /// Calls a phase with the exchange lent to the guest.
    pub(super) async fn call(
        &mut self,
        phase: Phase,
        export: &ComponentExportIndex,
        exchange: &mut Exchange,
    ) -> Result<(), Fault> {
        let lent = Lent::new(self, exchange);
        lent.instance.run(phase, export).await
    }

    /// Calls the timer phase.
    pub(super) async fn tick(&mut self, export: &ComponentExportIndex) -> Result<(), Fault> {
        self.begin(self.store.data().env.limits.time);
        let called = match self.instance.get_typed_func::<(), ()>(&mut self.store, export) {
            Ok(tick) => tick.call_async(&mut self.store, ()).await,
            Err(error) => Err(error),
        };
        self.end(called)
    }

    /// Calls `configure`, with the time that this may take.
    pub(super) async fn configure<R>(&mut self, export: &ComponentExportIndex, config: &str) -> Result<R, Fault>
    where
        R: wasmtime::component::Lift + 'static,
        (R,): wasmtime::component::ComponentNamedList + wasmtime::component::Lift,
    {
        self.begin(super::super::limits::CONFIGURE_TIME);
        let called = match self.instance.get_typed_func::<(&str,), (R,)>(&mut self.store, export) {
            Ok(configure) => configure.call_async(&mut self.store, (config,)).await,
            Err(error) => Err(error),
        };
        self.store.data_mut().configuring = false;
        self.end(called).map(|(result,)| result)
    }

    async fn run(&mut self, phase: Phase, export: &ComponentExportIndex) -> Result<(), Fault> {
        self.begin(self.store.data().env.limits.time);
        let called = match phase {
            Phase::RequestBody | Phase::ResponseBody => self.run_body(phase, export).await,
            _ => self.run_headers(phase, export).await,
        };
        self.end(called)
    }

    async fn run_headers(&mut self, phase: Phase, export: &ComponentExportIndex) -> wasmtime::Result<()> {
        let slot = &mut self.headers[phase as usize];
        if slot.is_none() {
            *slot = Some(self.instance.get_typed_func(&mut self.store, export)?);
        }
        let Some(function) = slot else { return Ok(()) };
        function.call_async(&mut self.store, ()).await
    }

    async fn run_body(&mut self, phase: Phase, export: &ComponentExportIndex) -> wasmtime::Result<()> {
        let end = self.store.data().state.as_ref().is_some_and(|state| state.body_end);
        let slot = &mut self.bodies[usize::from(phase == Phase::ResponseBody)];
        if slot.is_none() {
            *slot = Some(self.instance.get_typed_func(&mut self.store, export)?);
        }
        let Some(function) = slot else { return Ok(()) };
        function.call_async(&mut self.store, (end,)).await
    }

    fn begin(&mut self, time: Duration) {
        self.store.set_epoch_deadline(1);
        let guest = self.store.data_mut();
        guest.budget.grant(time);
        guest.clock.wake();
    }

    fn end<R>(&mut self, called: wasmtime::Result<R>) -> Result<R, Fault> {
        self.count.memory(self.store.data().memory.used);
        called.map_err(|error| fault(&self.store, &error))
    }
}

/// The exchange, lent to an instance: it comes back when this is dropped, also when a call is cut off because the
/// client went away.
struct Lent<'a> {
    instance: &'a mut Instance,
    exchange: &'a mut Exchange,
}

impl<'a> Lent<'a> {
    fn new(instance: &'a mut Instance, exchange: &'a mut Exchange) -> Self {
        instance.store.data_mut().state = Some(exchange.lend());
        Self { instance, exchange }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.instance.store.data_mut().state.take() {
            self.exchange.restore(state);
        }
    }
}

/// What kind of failure an error is, and what happened.
fn fault(store: &Store<Guest>, error: &wasmtime::Error) -> Fault {
    let guest = store.data();
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
