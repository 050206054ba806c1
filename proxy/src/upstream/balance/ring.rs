//! Ring hash: endpoints have points on a ring, and a key belongs to the next point. When an endpoint is lost, its
//! keys go to its neighbours and all others stay.

use super::dice;

/// Points in order, each with its seat.
pub(super) struct Ring {
    points: Box<[(u64, u32)]>,
}

impl Ring {
    /// A ring on which an endpoint of mean weight has about so many points. Points come from the endpoint's address
    /// alone, so that they are the same in every gofe; and their number hardly depends on the other endpoints, so that
    /// nobody gets new points, and with them keys, because another has left.
    pub(super) fn new<'a>(endpoints: impl Iterator<Item = (&'a str, u32)>, points: usize) -> Self {
        let endpoints: Vec<_> = endpoints.collect();
        let all: u64 = endpoints.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mean = (all / endpoints.len().max(1) as u64).max(1).next_power_of_two();
        let mut ring = Vec::with_capacity(2 * points * endpoints.len());
        for (seat, (address, weight)) in endpoints.iter().enumerate() {
            let share = points as u64 * u64::from(*weight) / mean;
            let mut point = super::hash(address.as_bytes());
            for _ in 0..share.max(1) {
                ring.push((point, seat as u32));
                point = dice::mix(point.wrapping_add(0x9e37_79b9_7f4a_7c15));
            }
        }
        ring.sort_unstable();
        Self { points: ring.into() }
    }

    /// The seat of a key.
    pub(super) fn find(&self, key: u64) -> usize {
        let at = self.points.partition_point(|(point, _)| *point < key);
        self.points.get(at).or_else(|| self.points.first()).map_or(0, |(_, seat)| *seat as usize)
    }

    /// The seats behind a key, all the way round.
    pub(super) fn walk(&self, key: u64) -> impl Iterator<Item = usize> + '_ {
        let at = self.points.partition_point(|(point, _)| *point < key);
        let (before, behind) = self.points.split_at(at);
        behind.iter().chain(before).map(|(_, seat)| *seat as usize)
    }
}
