//! The clock that interrupts guests.
//!
//! A thread advances the epoch of wasmtime, and a guest that runs at that moment calls gofe back. Each of its turns takes the
//! processor from a worker for a moment, and hardly any call is long enough to need one. So the thread rests for four ticks
//! at a time, until it meets a guest; then, and for calls that need it finer, a tick is what it says.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a guest that was met runs until the next tick. No two ticks are closer to each other.
pub(super) const TICK: Duration = Duration::from_millis(1);
/// How long the clock rests while it meets no guest.
const REST: Duration = Duration::from_millis(4);
/// A call with a limit below this needs the clock not to rest: it would run on for too large a part of its limit.
const FINE: Duration = Duration::from_millis(8);
/// How long no guest may run before the clock goes to sleep.
const QUIET: Duration = Duration::from_millis(64);
/// The longest sleep: then the thread looks whether the engine is gone.
const SLEEP: Duration = Duration::from_secs(1);

/// Ticks the engine's epoch while guests run, and sleeps while none does, so that an idle gofe uses no processor.
#[derive(Default)]
pub(super) struct Clock {
    /// A guest ran since the last look.
    active: AtomicBool,
    /// The next tick is to come after no more than [`TICK`].
    fine: AtomicBool,
    /// The thread sleeps, or is about to.
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
    /// The other engine, where there is one.
    beside: OnceLock<wasmtime::Engine>,
}

impl Clock {
    /// Starts the thread, which ends with the clock.
    pub(super) fn start(engine: wasmtime::Engine) -> Arc<Self> {
        let clock = Arc::new(Self::default());
        let weak = Arc::downgrade(&clock);
        let spawned = thread::Builder::new().name("gofe-epoch".into()).spawn(move || run(&weak, &engine));
        if let Ok(handle) = spawned {
            clock.thread.set(handle.thread().clone()).expect("the thread is set once");
        }
        clock
    }

    /// Ticks the epoch of another engine too. Of several, the first counts.
    pub(super) fn tick_too(&self, engine: &wasmtime::Engine) {
        self.beside.get_or_init(|| engine.clone());
    }

    /// A guest is about to run. Each call says so, so that the clock does not fall asleep while guests run.
    pub(super) fn wake(&self) {
        if !self.active.load(Relaxed) {
            self.active.store(true, SeqCst);
        }
        if self.asleep.load(SeqCst) {
            self.unpark();
        }
    }

    /// A guest runs that is to have its next tick after a tick's time: it was met by the last one, others wait for their
    /// turn at the next, or its limit is short.
    pub(super) fn hurry(&self) {
        self.wake();
        if !self.fine.load(Relaxed) {
            self.fine.store(true, SeqCst);
            self.unpark();
        }
    }

    /// Whether a call that may execute for this long needs [`hurry`](Self::hurry).
    pub(super) fn is_short(time: Duration) -> bool {
        time < FINE
    }

    fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Waits for the time of the next tick.
    fn rest(&self) {
        let began = Instant::now();
        loop {
            let left = REST.saturating_sub(began.elapsed());
            if self.fine.swap(false, SeqCst) {
                return thread::sleep(left.min(TICK));
            }
            if left.is_zero() {
                return;
            }
            // What unparks it may have been meant for the sleep before.
            thread::park_timeout(left);
        }
    }

    /// Sleeps until a guest runs, where none did since the last look.
    fn sleep_if_quiet(&self) {
        if self.active.swap(false, SeqCst) {
            return;
        }
        self.asleep.store(true, SeqCst);
        if !self.active.load(SeqCst) {
            thread::park_timeout(SLEEP);
        }
        self.asleep.store(false, SeqCst);
    }
}

/// Ticks until the clock is gone.
fn run(clock: &Weak<Clock>, engine: &wasmtime::Engine) {
    let mut looked = Instant::now();
    while let Some(clock) = clock.upgrade() {
        clock.rest();
        engine.increment_epoch();
        if let Some(engine) = clock.beside.get() {
            engine.increment_epoch();
        }
        if looked.elapsed() >= QUIET {
            clock.sleep_if_quiet();
            looked = Instant::now();
        }
    }
}
