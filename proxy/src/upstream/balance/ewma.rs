//! Peak EWMA: latency that rises at once to a peak, and falls exponentially.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::Policy;

/// The latency of an endpoint as one worker sees it. Only this worker takes the lock.
pub(in crate::upstream) struct Ewma {
    decay: Duration,
    state: Mutex<State>,
    /// For the admin API: the last value in nanoseconds.
    shown: AtomicU64,
}

#[derive(Default, Clone, Copy)]
struct State {
    /// Nanoseconds.
    value: f64,
    at: Option<Instant>,
}

impl State {
    fn at(self, now: Instant, decay: Duration) -> f64 {
        let Some(at) = self.at else { return 0.0 };
        let elapsed = now.saturating_duration_since(at).as_secs_f64();
        self.value * (-elapsed / decay.as_secs_f64()).exp()
    }

    fn observe(&mut self, latency: Duration, now: Instant, decay: Duration) {
        let latency = latency.as_nanos() as f64;
        let kept = match self.at {
            Some(at) => (-now.saturating_duration_since(at).as_secs_f64() / decay.as_secs_f64()).exp(),
            None => 0.0,
        };
        // A peak is taken at once; what is lower is come to slowly.
        self.value = if latency > self.value { latency } else { self.value * kept + latency * (1.0 - kept) };
        self.at = Some(now);
    }
}

impl Ewma {
    /// For an endpoint that is chosen by its latency.
    pub(in crate::upstream) fn for_policy(policy: &Policy) -> Option<Self> {
        let Policy::PeakEwma { decay } = policy else { return None };
        Some(Self { decay: *decay, state: Mutex::default(), shown: AtomicU64::new(0) })
    }

    /// A request took so long.
    pub(in crate::upstream) fn observe(&self, latency: Duration, now: Instant) {
        let mut state = self.state.lock();
        state.observe(latency, now, self.decay);
        self.shown.store(state.value as u64, Relaxed);
    }

    /// What one more request would cost now. An endpoint without a latency costs nothing while it has no request, and
    /// more than all others as soon as it has one: it is tried, once.
    pub(super) fn cost(&self, in_flight: usize, now: Instant) -> f64 {
        let value = self.state.lock().at(now, self.decay);
        let pending = in_flight as f64;
        if value == 0.0 && in_flight > 0 { f64::from(u32::MAX) + pending } else { value * (pending + 1.0) }
    }

    /// The latency for the admin API.
    pub(in crate::upstream) fn shown(&self) -> Option<Duration> {
        Some(self.shown.load(Relaxed)).filter(|nanos| *nanos > 0).map(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DECAY: Duration = Duration::from_secs(10);

    #[test]
    fn a_peak_rises_at_once_and_falls_slowly() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut state = State::default();
        let millis = |state: &State| (state.value / 1e6).round();
        state.observe(Duration::from_millis(10), start, DECAY);
        assert_eq!(millis(&state), 10.0);
        state.observe(Duration::from_millis(1_000), after(1), DECAY);
        assert_eq!(millis(&state), 1_000.0);
        state.observe(Duration::from_millis(10), after(2), DECAY);
        assert!((890.0..930.0).contains(&millis(&state)), "{}", state.value);
        state.observe(Duration::from_millis(10), after(62), DECAY);
        assert!(millis(&state) < 13.0, "{}", state.value);
    }

    proptest! {
        /// Whatever comes, the value lies between the least and the greatest latency that there was.
        #[test]
        fn it_stays_within_what_it_saw(steps in prop::collection::vec((1_u64..10_000, 0_u64..5_000), 1..50)) {
            let (mut state, mut now) = (State::default(), Instant::now());
            let (mut low, mut high) = (f64::MAX, 0.0_f64);
            for (latency, pause) in steps {
                now += Duration::from_millis(pause);
                let latency = Duration::from_micros(latency);
                state.observe(latency, now, DECAY);
                low = low.min(latency.as_nanos() as f64);
                high = high.max(latency.as_nanos() as f64);
                prop_assert!(state.value >= low * 0.999_999 && state.value <= high * 1.000_001);
            }
        }
    }
}
