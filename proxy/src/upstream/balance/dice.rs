//! Chance and hashes, as cheap as a balancer needs them.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One worker's dice.
pub(super) struct Dice(AtomicU64);

impl Dice {
    /// Dice that fall differently each time.
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().build_hasher().finish()))
    }

    /// SplitMix64: one worker rolls, so the order of memory does not matter.
    pub(super) fn roll(&self) -> u64 {
        mix(self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed))
    }

    /// The power of two choices: of two different ones at random, the one with less.
    pub(super) fn less_of_two<T: PartialOrd>(&self, count: usize, load: impl Fn(usize) -> T) -> usize {
        let dice = self.roll();
        let first = below(dice as u32, count);
        let second = (first + 1 + below((dice >> 32) as u32, count - 1)) % count;
        if load(second) < load(first) { second } else { first }
    }
}

/// Spreads the bits of a number over all of it.
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number below `limit`, without a division.
pub(super) fn below(dice: u32, limit: usize) -> usize {
    ((u64::from(dice) * limit as u64) >> 32) as usize
}

/// A number from 0 up to 1.
pub(in crate::upstream) fn fraction(dice: u64) -> f64 {
    (dice >> 11) as f64 / (1_u64 << 53) as f64
}

/// The hash of a key: FNV-1a, then mixed. It is the same in every process and for ever, since several gofe must send a
/// key to the same endpoint, and so must one that has restarted.
pub(in crate::upstream) fn hash(key: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    mix(key.iter().fold(0xcbf2_9ce4_8422_2325, fnv))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(loads: &[usize], rounds: usize) -> Vec<usize> {
        let dice = Dice::new();
        let mut share = vec![0; loads.len()];
        for _ in 0..rounds {
            share[dice.less_of_two(loads.len(), |at| loads[at])] += 1;
        }
        share
    }

    #[test]
    fn two_choices_never_take_the_busiest() {
        let share = share(&[5, 1, 1], 3_000);
        assert_eq!(share[0], 0, "{share:?}");
        assert!(share[1] > 1_000 && share[2] > 1_000, "{share:?}");
    }

    #[test]
    fn two_choices_spread_among_equals() {
        let share = share(&[2, 2, 2, 2], 4_000);
        assert!(share.iter().all(|n| *n > 700), "{share:?}");
    }

    #[test]
    fn a_hash_is_for_ever() {
        assert_eq!([hash(b""), hash(b"a")], [0xf52a_15e9_a9b5_e89b, 0x02c0_bdbf_4814_20f8]);
    }
}
