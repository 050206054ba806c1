//! A limit on requests that follows how fast an upstream answers: the gradient of Netflix's `concurrency-limits`.
//!
//! While answers take as long as they do on average over a long time, the limit grows; when they become slower, requests
//! wait somewhere, and the limit shrinks by how much slower they are.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::config::{Adaptive, Importance};

/// How long answers are collected until the limit follows them, in milliseconds.
const STRETCH: u64 = 100;
/// How many there must be.
const ANSWERS: u32 = 10;
/// How many stretches the long average is over.
const LONG: f64 = 600.0;
/// How much of a change is taken over at once.
const SMOOTHING: f64 = 0.2;

/// The limit of an upstream, for all workers.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: AtomicU32,
    stretch: Stretch,
    gradient: Mutex<Gradient>,
}

/// What was measured since the limit was last changed.
#[derive(Debug, Default)]
struct Stretch {
    /// Until when it goes, in milliseconds.
    end: AtomicU64,
    answers: AtomicU32,
    micros: AtomicU64,
    most_in_flight: AtomicU32,
}

/// The rule, without time and threads.
#[derive(Debug)]
pub(super) struct Gradient {
    config: Adaptive,
    limit: f64,
    long: f64,
}

impl Gradient {
    pub(super) fn new(config: &Adaptive) -> Self {
        let limit = f64::from(config.minimum.max(20).min(config.maximum));
        Self { config: config.clone(), limit, long: 0.0 }
    }

    /// The limit after a stretch in which answers took `micros` on average.
    pub(super) fn update(&mut self, micros: f64, most_in_flight: u32) -> u32 {
        self.long = if self.long == 0.0 { micros } else { self.long + (micros - self.long) / LONG };
        // After a long time of slowness the average is no measure of what can be.
        if self.long > 2.0 * micros {
            self.long *= 0.95;
        }
        // Who has few requests learns nothing of how many there could be.
        if f64::from(most_in_flight) < self.limit / 2.0 {
            return self.whole();
        }
        let tolerated = self.long * (1.0 + f64::from(self.config.tolerance) / 100.0);
        let gradient = (tolerated / micros.max(1.0)).clamp(0.5, 1.0);
        let wanted = self.limit * gradient + self.limit.sqrt();
        let (low, high) = (f64::from(self.config.minimum), f64::from(self.config.maximum));
        self.limit = (self.limit + (wanted - self.limit) * SMOOTHING).clamp(low, high);
        self.whole()
    }

    fn whole(&self) -> u32 {
        self.limit as u32
    }
}

impl Limiter {
    pub(super) fn new(config: &Adaptive) -> Self {
        let gradient = Gradient::new(config);
        Self { limit: AtomicU32::new(gradient.whole()), stretch: Stretch::default(), gradient: Mutex::new(gradient) }
    }

    /// The limit now.
    pub(super) fn limit(&self) -> u32 {
        self.limit.load(Relaxed)
    }

    /// Whether one more request fits beside those in flight. Those of high importance have half as much again: they are
    /// refused last.
    pub(super) fn fits(&self, in_flight: usize, importance: Importance) -> bool {
        let limit = self.limit() as usize;
        let limit = match importance {
            Importance::Normal => limit,
            Importance::High => limit + limit.div_ceil(2),
        };
        in_flight < limit
    }

    /// An answer came, after so many microseconds.
    pub(super) fn answered(&self, micros: u64, in_flight: usize, now: u64) {
        let stretch = &self.stretch;
        stretch.micros.fetch_add(micros, Relaxed);
        stretch.most_in_flight.fetch_max(u32::try_from(in_flight).unwrap_or(u32::MAX), Relaxed);
        let answers = stretch.answers.fetch_add(1, Relaxed) + 1;
        if answers < ANSWERS || now < stretch.end.load(Relaxed) {
            return;
        }
        // One worker follows, the others go on.
        let Some(mut gradient) = self.gradient.try_lock() else { return };
        if now < stretch.end.load(Relaxed) {
            return;
        }
        stretch.end.store(now + STRETCH, Relaxed);
        let answers = stretch.answers.swap(0, Relaxed).max(1);
        let average = stretch.micros.swap(0, Relaxed) as f64 / f64::from(answers);
        let limit = gradient.update(average, stretch.most_in_flight.swap(0, Relaxed));
        self.limit.store(limit, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFIG: Adaptive = Adaptive { minimum: 5, maximum: 200, tolerance: 50 };

    /// A server of `workers` that each need 10 ms: what more there is at a time, waits.
    fn settled(workers: u32, offered: u32) -> u32 {
        let mut gradient = Gradient::new(&CONFIG);
        let mut limit = gradient.whole();
        for _ in 0..2000 {
            let in_flight = offered.min(limit);
            let micros = 10_000.0 * f64::from(in_flight.max(workers)) / f64::from(workers);
            limit = gradient.update(micros, in_flight);
        }
        limit
    }

    #[test]
    fn it_finds_what_a_server_can_do() {
        for workers in [20, 40, 80] {
            let limit = settled(workers, 1000);
            assert!(limit >= workers && limit <= workers * 3, "{limit} for {workers}");
        }
        assert!(settled(40, 4) >= 20, "few requests change nothing");
    }

    #[test]
    fn it_shrinks_when_answers_become_slow_and_recovers() {
        let mut gradient = Gradient::new(&CONFIG);
        for _ in 0..100 {
            gradient.update(1_000.0, 200);
        }
        let before = gradient.whole();
        for _ in 0..30 {
            gradient.update(20_000.0, 200);
        }
        let slow = gradient.whole();
        assert!(slow * 3 < before, "{slow} after {before}");
        for _ in 0..100 {
            gradient.update(1_000.0, 200);
        }
        assert!(gradient.whole() > slow * 3);
    }

    #[test]
    fn high_importance_is_refused_last() {
        let limiter = Limiter::new(&CONFIG);
        assert!(!limiter.fits(20, Importance::Normal) && limiter.fits(20, Importance::High));
        assert!(limiter.fits(29, Importance::High) && !limiter.fits(30, Importance::High));
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(answers in prop::collection::vec((1.0_f64..1e7, 0_u32..500), 1..500)) {
            let mut gradient = Gradient::new(&CONFIG);
            for (micros, in_flight) in answers {
                let limit = gradient.update(micros, in_flight);
                prop_assert!((CONFIG.minimum..=CONFIG.maximum).contains(&limit));
            }
        }
    }
}
