//! Whether a plugin's calls can let others run, and calls that do or do not.
//!
//! A call on a stack of its own can stop at each tick, let the worker's other requests run, and go on. That stack costs
//! about as much as everything else in a short call. So the calls of a core module run on the worker's stack, as long as
//! none of them has taken longer than a tick. Once one has, the plugin's next calls get stacks of their own: an endless loop
//! holds up its worker for its limit once, and from then on for a tick at a time.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use wasmtime::{Store, TypedFunc, WasmParams, WasmResults};

/// The longest limit with which a call may run on the worker's stack: the default. It is what other requests may have to
/// wait once.
const LONGEST: Duration = Duration::from_millis(10);
/// How many calls in a row must have kept to a tick before a plugin runs on the worker's stack again.
const PROBATION: u32 = 10_000;

/// How the calls of one version of a plugin run.
pub(super) struct Pace {
    /// Calls that are still to run on stacks of their own.
    left: AtomicU32,
    /// Whether all of them must.
    always: bool,
}

impl Pace {
    /// The pace of a plugin with this limit for each call. `always` where it cannot run on the worker's stack.
    pub(super) fn new(limit: Duration, always: bool) -> Self {
        Self { left: AtomicU32::new(0), always: always || limit > LONGEST }
    }

    /// Whether the next call runs on a stack of its own.
    pub(super) fn yields(&self) -> bool {
        self.always || self.left.load(Relaxed) > 0
    }

    /// A call ended, which took longer than a tick or did not.
    pub(super) fn ended(&self, overran: bool) {
        if overran {
            self.left.store(PROBATION, Relaxed);
        } else if !self.always && self.left.load(Relaxed) > 0 {
            let _ = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        }
    }
}

/// Calls a function of a core module, on a stack of its own or on this one.
pub(super) async fn call<T, P, R>(
    function: &TypedFunc<P, R>,
    store: &mut Store<T>,
    params: P,
    yields: bool,
) -> wasmtime::Result<R>
where
    T: Send + 'static,
    P: WasmParams + Sync,
    R: WasmResults + Sync,
{
    // Boxed, so that the calls of all requests are no larger for it.
    if yields { Box::pin(function.call_async(store, params)).await } else { function.call(store, params) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONGEST, PROBATION, Pace};

    #[test]
    fn a_call_that_overran_puts_the_next_ones_on_stacks_of_their_own() {
        let pace = Pace::new(LONGEST, false);
        assert!(!pace.yields());
        pace.ended(true);
        for _ in 0..PROBATION {
            assert!(pace.yields());
            pace.ended(false);
        }
        assert!(!pace.yields());
        pace.ended(false);
        assert!(!pace.yields());
    }

    #[test]
    fn what_may_run_long_never_runs_on_the_workers_stack() {
        assert!(Pace::new(LONGEST + Duration::from_nanos(1), false).yields());
        assert!(Pace::new(Duration::from_millis(1), true).yields());
    }
}
