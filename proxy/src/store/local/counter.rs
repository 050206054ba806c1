//! A counter that lasts for a time.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

/// A counter.
#[derive(Debug)]
pub(super) struct Counter {
    value: AtomicI64,
    ttl: Option<Duration>,
    ends: u64,
}

impl Counter {
    /// A counter at 0 that lasts `ttl` from `now`; for ever where that is zero.
    pub(super) fn new(now: u64, ttl: Duration) -> Self {
        let ttl = (!ttl.is_zero()).then_some(ttl);
        let ends = ttl.map_or(u64::MAX, |ttl| now.saturating_add(ttl.as_nanos() as u64));
        Self { value: AtomicI64::new(0), ttl, ends }
    }

    /// How long it lasts from its first use.
    pub(super) fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// Whether its time is not over.
    pub(super) fn is_live(&self, now: u64) -> bool {
        now < self.ends
    }

    /// Its value.
    pub(super) fn value(&self) -> i64 {
        self.value.load(Relaxed)
    }

    /// Adds, and gives the new value.
    pub(super) fn add(&self, delta: i64) -> i64 {
        let mut value = self.value.load(Relaxed);
        loop {
            let sum = value.saturating_add(delta);
            match self.value.compare_exchange_weak(value, sum, Relaxed, Relaxed) {
                Ok(_) => return sum,
                Err(seen) => value = seen,
            }
        }
    }
}
