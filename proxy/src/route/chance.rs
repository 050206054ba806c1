//! Chance for decisions about single requests.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use crate::config::Share;

thread_local! {
    static DICE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
}

/// A number that nobody foresees, and that needs not be secret (SplitMix64).
pub fn roll() -> u64 {
    let state = DICE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    DICE.set(state);
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Whether this request is one of a share.
pub fn falls(share: Share) -> bool {
    share == Share::ALL || below(roll(), u64::from(Share::ALL.0)) < u64::from(share.0)
}

/// A number below `limit`; the same `point` gives the same one.
pub(super) fn below(point: u64, limit: u64) -> u64 {
    ((u128::from(point) * u128::from(limit)) >> 64) as u64
}
