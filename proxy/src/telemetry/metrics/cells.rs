//! Counting without contention: each worker adds to memory of its own, and a scrape sums.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

/// A cell that shares no cache line with its neighbour; processors fetch lines in pairs, hence 128.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

/// One `T` for each worker.
#[derive(Debug)]
pub(crate) struct PerWorker<T>(Box<[Padded<T>]>);

impl<T: Default> PerWorker<T> {
    /// Cells for so many workers; at least one.
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Padded::default()).collect())
    }

    /// The worker's cell. An index past the end wraps: it costs contention, never a count.
    pub(crate) fn at(&self, worker: usize) -> &T {
        match self.0.get(worker) {
            Some(cell) => &cell.0,
            None => &self.0[worker % self.0.len()].0,
        }
    }

    /// All cells.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|cell| &cell.0)
    }

    /// The sum of a number in each cell. Wraps, as the counters do.
    pub(super) fn sum(&self, number: impl Fn(&T) -> u64) -> u64 {
        self.iter().map(number).fold(0, u64::wrapping_add)
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A worker's part of a number that goes up and down. One part may be negative, the sum of all is what counts.
#[derive(Debug, Default)]
pub(super) struct Level(AtomicI64);

impl Level {
    pub(super) fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(super) fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of every histogram's buckets in seconds; the last bucket, without a bound, is not named here.
pub(super) const BOUNDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The same bounds in nanoseconds.
const BOUNDS_NANOS: [u64; BOUNDS.len()] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Buckets with the one that has no bound.
pub(super) const BUCKETS: usize = BOUNDS.len() + 1;

/// Nanoseconds, as many as a counter can hold.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One worker's part of a histogram of durations.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    counts: [Count; BUCKETS],
    nanos: Count,
}

impl Buckets {
    pub(super) fn record(&self, duration: Duration) {
        let nanos = nanos(duration);
        // Most calls of plugins are in the first bucket.
        let first = nanos <= BOUNDS_NANOS[0];
        let at = if first { 0 } else { BOUNDS_NANOS.partition_point(|bound| *bound < nanos) };
        self.counts[at].add(1);
        self.nanos.add(nanos);
    }
}

/// What a scrape shows of a histogram.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Distribution {
    /// The sum of all values, in seconds.
    pub(super) sum: f64,
    /// Values in each bucket, not cumulative.
    pub(super) counts: [u64; BUCKETS],
}

impl Distribution {
    pub(super) fn of<'a>(parts: impl Iterator<Item = &'a Buckets>) -> Self {
        let (mut nanos, mut counts) = (0_u64, [0; BUCKETS]);
        for part in parts {
            nanos = nanos.wrapping_add(part.nanos.get());
            for (sum, count) in counts.iter_mut().zip(&part.counts) {
                *sum += count.get();
            }
        }
        Self { sum: Duration::from_nanos(nanos).as_secs_f64(), counts }
    }
}

/// Counts by word, for what is rare: failures and their reasons.
#[derive(Debug)]
pub(super) struct Words(PerWorker<Mutex<Vec<(&'static str, u64)>>>);

impl Words {
    pub(super) fn new(workers: usize) -> Self {
        Self(PerWorker::new(workers))
    }

    pub(super) fn add(&self, worker: usize, word: &'static str) {
        let mut counts = self.0.at(worker).lock();
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }

    /// The sums in the order of the words.
    pub(super) fn totals(&self) -> Vec<(&'static str, u64)> {
        let mut totals = std::collections::BTreeMap::new();
        for cell in self.0.iter() {
            for (word, count) in cell.lock().iter() {
                *totals.entry(*word).or_insert(0) += count;
            }
        }
        totals.into_iter().collect()
    }
}
