//! Counts of what happened lately. All workers write to them, none waits for another.
//!
//! A count that two workers make while the time goes over to the next part may be lost: what is decided by these numbers
//! does not hang on one.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Two counts over the last stretch of time, which is divided into parts: the oldest part goes when a new one begins.
#[derive(Debug)]
pub(super) struct Sliding<const COUNTS: usize> {
    /// The length of a part in milliseconds.
    width: u64,
    parts: Box<[Part<COUNTS>]>,
}

#[derive(Debug)]
struct Part<const COUNTS: usize> {
    /// Which part of all time it is; counts begin anew when it becomes another.
    number: AtomicU64,
    counts: [AtomicU32; COUNTS],
}

/// Into how many parts a stretch of time is divided.
const PARTS: u64 = 10;

impl<const COUNTS: usize> Sliding<COUNTS> {
    /// Over so many milliseconds.
    pub(super) fn new(millis: u64) -> Self {
        let part = |_| Part { number: AtomicU64::new(0), counts: [const { AtomicU32::new(0) }; COUNTS] };
        Self { width: (millis / PARTS).max(1), parts: (0..PARTS).map(part).collect() }
    }

    /// Adds to the counts at a time in milliseconds.
    pub(super) fn add(&self, now: u64, what: [u32; COUNTS]) {
        let part = self.part(now);
        for (count, n) in part.counts.iter().zip(what) {
            if n > 0 {
                count.fetch_add(n, Relaxed);
            }
        }
    }

    fn part(&self, now: u64) -> &Part<COUNTS> {
        // From 1 on: 0 is a part that never was.
        let number = now / self.width + 1;
        let part = &self.parts[(number % PARTS) as usize];
        let old = part.number.load(Relaxed);
        if old != number && part.number.compare_exchange(old, number, Relaxed, Relaxed).is_ok() {
            part.counts.iter().for_each(|count| count.store(0, Relaxed));
        }
        part
    }

    /// The counts of the stretch that ends now.
    pub(super) fn sums(&self, now: u64) -> [u32; COUNTS] {
        let number = now / self.width + 1;
        let mut sums = [0_u32; COUNTS];
        for part in &self.parts {
            let age = number.wrapping_sub(part.number.load(Relaxed));
            if age < PARTS {
                for (sum, count) in sums.iter_mut().zip(&part.counts) {
                    *sum = sum.saturating_add(count.load(Relaxed));
                }
            }
        }
        sums
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.parts.iter().for_each(|part| part.number.store(0, Relaxed));
    }
}

/// The last calls, by two marks each: bits of words, so that one write replaces a call by another.
#[derive(Debug)]
pub(super) struct Last {
    calls: Box<[AtomicU32]>,
    next: AtomicU64,
    sums: [AtomicU32; 3],
}

impl Last {
    /// So many calls.
    pub(super) fn new(calls: u32) -> Self {
        Self {
            calls: (0..calls.max(1)).map(|_| AtomicU32::new(0)).collect(),
            next: AtomicU64::new(0),
            sums: [const { AtomicU32::new(0) }; 3],
        }
    }

    /// Adds one call, `[1, failed, slow]`, in the place of the oldest.
    pub(super) fn add(&self, what: [u32; 3]) {
        let at = self.next.fetch_add(1, Relaxed) % self.calls.len() as u64;
        let bits = |what: [u32; 3]| what[0] | what[1] << 1 | what[2] << 2;
        let old = self.calls[at as usize].swap(bits(what), Relaxed);
        for (place, sum) in self.sums.iter().enumerate() {
            let (was, is) = (old >> place & 1, what[place]);
            if is > was {
                sum.fetch_add(1, Relaxed);
            } else if was > is {
                sum.fetch_sub(1, Relaxed);
            }
        }
    }

    /// Calls, and those that failed and were slow.
    pub(super) fn sums(&self) -> [u32; 3] {
        self.sums.each_ref().map(|sum| sum.load(Relaxed))
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for call in &self.calls {
            let old = call.swap(0, Relaxed);
            for (place, sum) in self.sums.iter().enumerate() {
                if old >> place & 1 == 1 {
                    sum.fetch_sub(1, Relaxed);
                }
            }
        }
    }
}
