//! Slow start: an endpoint that is new, or well again, gets a share that grows until it has warmed up.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The least share of one that has just begun (Envoy's `min_weight_percent`).
const LEAST: f64 = 0.1;

/// Those of a level that warm up.
pub(super) struct Warm {
    window: Duration,
    since: Box<[Option<Instant>]>,
    until: Instant,
    /// False when all are warm: then nobody reads the clock any more.
    goes_on: AtomicBool,
}

impl Warm {
    /// None where everybody is warm. `since` says when each began; those without were there from the start.
    pub(super) fn new(window: Duration, since: impl Iterator<Item = Option<Instant>>, now: Instant) -> Option<Self> {
        let since: Box<[_]> = since.collect();
        let until = since.iter().flatten().max().map(|last| *last + window)?;
        (until > now).then(|| Self { window, since, until, goes_on: AtomicBool::new(true) })
    }

    /// Whether anybody warms up.
    pub(super) fn goes_on(&self) -> bool {
        if !self.goes_on.load(Relaxed) {
            return false;
        }
        let goes_on = Instant::now() < self.until;
        if !goes_on {
            self.goes_on.store(false, Relaxed);
        }
        goes_on
    }

    /// The part of its weight that one has now.
    pub(super) fn factor(&self, seat: usize, now: Instant) -> f64 {
        let Some(since) = self.since[seat] else { return 1.0 };
        let warm = now.saturating_duration_since(since).as_secs_f64() / self.window.as_secs_f64();
        warm.clamp(LEAST, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_from_a_tenth_to_the_whole() {
        let (start, window) = (Instant::now(), Duration::from_secs(10));
        let since = [None, Some(start)];
        let warm = Warm::new(window, since.into_iter(), start).expect("one warms up");
        let factor = |seconds| warm.factor(1, start + Duration::from_secs(seconds));
        assert_eq!([0, 1, 5, 10, 20].map(factor), [0.1, 0.1, 0.5, 1.0, 1.0]);
        assert_eq!(warm.factor(0, start), 1.0);
        assert!(Warm::new(window, since.into_iter(), start + window).is_none());
        assert!(Warm::new(window, [None].into_iter(), start).is_none());
    }
}
