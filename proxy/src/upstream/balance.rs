//! Which of several endpoints serves a request.
//!
//! Each worker chooses for itself, by what it knows: its own turn and its own requests in flight. So no choice
//! touches memory that another core writes, and every worker's share is as even as the whole.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::config::Balance;

/// What a balancer may know of the endpoints it chooses from.
pub(super) trait Candidates {
    /// How many there are, at least one.
    fn count(&self) -> usize;
    /// Requests in flight to one of them.
    fn in_flight(&self, at: usize) -> usize;
    /// The turn of this set of candidates.
    fn turn(&self) -> &AtomicUsize;
}

/// Chooses endpoints for one worker.
pub(super) struct Balancer {
    balance: Balance,
    random: AtomicU64,
}

impl Balancer {
    /// A balancer of this kind.
    pub(super) fn new(balance: Balance) -> Self {
        Self { balance, random: AtomicU64::new(RandomState::new().build_hasher().finish()) }
    }

    /// The index of the chosen one.
    pub(super) fn choose(&self, among: &impl Candidates) -> usize {
        let count = among.count();
        if count <= 1 {
            return 0;
        }
        match self.balance {
            Balance::RoundRobin => among.turn().fetch_add(1, Relaxed) % count,
            Balance::LeastRequest => self.less_busy_of_two(among, count),
        }
    }

    /// The power of two choices: of two different ones at random, the one with fewer requests in flight.
    fn less_busy_of_two(&self, among: &impl Candidates, count: usize) -> usize {
        let dice = self.roll();
        let first = below(dice as u32, count);
        let second = (first + 1 + below((dice >> 32) as u32, count - 1)) % count;
        if among.in_flight(second) < among.in_flight(first) { second } else { first }
    }

    /// SplitMix64: one worker rolls, so the order of memory does not matter.
    fn roll(&self) -> u64 {
        let mut z = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A number below `limit`, without a division.
fn below(dice: u32, limit: usize) -> usize {
    ((u64::from(dice) * limit as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Busy(Vec<usize>, AtomicUsize);

    impl Candidates for Busy {
        fn count(&self) -> usize {
            self.0.len()
        }
        fn in_flight(&self, at: usize) -> usize {
            self.0[at]
        }
        fn turn(&self) -> &AtomicUsize {
            &self.1
        }
    }

    fn share(balance: Balance, in_flight: &[usize], rounds: usize) -> Vec<usize> {
        let balancer = Balancer::new(balance);
        let busy = Busy(in_flight.to_vec(), AtomicUsize::new(0));
        let mut share = vec![0; in_flight.len()];
        for _ in 0..rounds {
            share[balancer.choose(&busy)] += 1;
        }
        share
    }

    #[test]
    fn round_robin_gives_each_the_same_whatever_is_in_flight() {
        assert_eq!(share(Balance::RoundRobin, &[9, 0, 3], 300), [100, 100, 100]);
    }

    #[test]
    fn least_request_never_takes_the_busiest() {
        let share = share(Balance::LeastRequest, &[5, 1, 1], 3_000);
        assert_eq!(share[0], 0, "{share:?}");
        assert!(share[1] > 1_000 && share[2] > 1_000, "{share:?}");
    }

    #[test]
    fn least_request_spreads_among_equals() {
        let share = share(Balance::LeastRequest, &[2, 2, 2, 2], 4_000);
        assert!(share.iter().all(|n| *n > 700), "{share:?}");
    }
}
