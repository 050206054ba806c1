//! Which endpoints come into question at all: by priority, zone and health (Envoy's priority levels).

use std::collections::BTreeMap;

use crate::config::Balance;
use crate::upstream::endpoint::Member;

/// A level bears more than its share of healthy endpoints, in percent (Envoy's overprovisioning factor): it gives
/// requests to the next level only when fewer than 72 % of its endpoints are healthy.
const OVERPROVISIONING: u64 = 140;

/// The whole of the requests.
pub(super) const ALL: u64 = 1 << 32;

/// The members that come into question, the levels that go first in front.
pub(super) struct Candidates {
    levels: Vec<Healthy>,
}

/// The places of a level, and which of them are healthy.
#[derive(Debug, Default, Clone)]
pub(super) struct Healthy {
    places: Vec<usize>,
    healthy: Vec<usize>,
}

impl Candidates {
    /// Those that `fits` lets in and that have any weight.
    pub(super) fn of(balance: &Balance, members: &[Member], fits: impl Fn(&Member) -> bool) -> Self {
        let mut levels: BTreeMap<(u8, bool), Healthy> = BTreeMap::new();
        for (at, member) in members.iter().enumerate() {
            if member.found.weight == 0 || !fits(member) {
                continue;
            }
            let zone = member.found.labels.get("zone");
            let elsewhere = balance.zone.is_some() && zone != balance.zone.as_ref();
            let level = levels.entry((member.found.priority, elsewhere)).or_default();
            level.places.push(at);
            if member.endpoint.is_available() {
                level.healthy.push(at);
            }
        }
        Self { levels: levels.into_values().collect() }
    }

    /// The share of requests of each level, out of [`ALL`], and the places that serve it; levels without a share are
    /// left out. Where fewer than `panic` percent are healthy, health is not heeded: what is left would break too, or
    /// the checks are wrong.
    pub(super) fn spread(self, panic: u8) -> Vec<(u64, Vec<usize>)> {
        let count = |of: fn(&Healthy) -> &Vec<usize>| self.levels.iter().map(|level| of(level).len() as u64).sum();
        let (all, healthy): (u64, u64) = (count(|level| &level.places), count(|level| &level.healthy));
        let bears = |level: &Healthy| {
            (100.min(OVERPROVISIONING * level.healthy.len() as u64 / level.places.len().max(1) as u64)) * ALL / 100
        };
        let total: u64 = self.levels.iter().map(bears).sum();
        if total < ALL && healthy * 100 < u64::from(panic) * all {
            return vec![(ALL, self.levels.into_iter().flat_map(|level| level.places).collect())];
        }
        let mut left = ALL;
        let mut shares = Vec::new();
        for level in self.levels {
            // What all together do not bear is spread over them.
            let share = if total < ALL { bears(&level) * ALL / total.max(1) } else { bears(&level) }.min(left);
            left -= share;
            if share > 0 {
                shares.push((share, level.healthy));
            }
        }
        if let Some((share, _)) = shares.last_mut() {
            *share += left;
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Levels of so many endpoints, of which so many are healthy.
    fn levels(counts: &[(usize, usize)]) -> Candidates {
        let mut next = 0;
        let level = |(all, healthy): &(usize, usize)| {
            let places: Vec<usize> = (next..next + all).collect();
            next += all;
            Healthy { healthy: places[..*healthy].to_vec(), places }
        };
        Candidates { levels: counts.iter().map(level).collect() }
    }

    /// Shares in percent, with the number of places.
    fn shares(counts: &[(usize, usize)], panic: u8) -> Vec<(u64, usize)> {
        let spread = levels(counts).spread(panic).into_iter();
        spread.map(|(share, places)| ((share * 100 + ALL / 2) / ALL, places.len())).collect()
    }

    #[test]
    fn the_first_level_has_all_while_it_can() {
        assert_eq!(shares(&[(4, 4), (4, 4)], 50), [(100, 4)]);
        assert_eq!(shares(&[(4, 3), (4, 4)], 50), [(100, 3)]);
        assert_eq!(shares(&[(4, 2), (4, 4)], 50), [(70, 2), (30, 4)]);
        assert_eq!(shares(&[(4, 0), (4, 4)], 50), [(100, 4)]);
    }

    #[test]
    fn with_too_few_left_health_is_not_heeded() {
        assert_eq!(shares(&[(3, 1)], 50), [(100, 3)]);
        assert_eq!(shares(&[(3, 2)], 50), [(100, 2)]);
        assert_eq!(shares(&[(2, 1)], 50), [(100, 1)]);
        assert_eq!(shares(&[(3, 1)], 0), [(100, 1)]);
        assert_eq!(shares(&[(3, 0)], 1), [(100, 3)]);
        assert_eq!(shares(&[(3, 0)], 0), []);
        assert_eq!(shares(&[], 50), [(100, 0)][..0]);
        assert_eq!(shares(&[(4, 1), (4, 1)], 50), [(100, 8)]);
        assert_eq!(shares(&[(4, 1), (4, 1)], 0), [(50, 1), (50, 1)]);
    }

    proptest! {
        /// All requests go somewhere, never to an unhealthy endpoint outside of a panic, and a level that goes first
        /// has no less than it bears.
        #[test]
        fn nothing_is_lost(counts in prop::collection::vec((1_usize..9, 0_usize..9), 1..5), panic in 0_u8..=100) {
            let counts: Vec<_> = counts.into_iter().map(|(all, healthy)| (all, healthy.min(all))).collect();
            let (all, healthy) = counts.iter().fold((0, 0), |(a, h), (all, healthy)| (a + all, h + healthy));
            let spread = levels(&counts).spread(panic);
            let total: u64 = spread.iter().map(|(share, _)| *share).sum();
            prop_assert!(total == ALL || (healthy == 0 && spread.is_empty()));
            let used: usize = spread.iter().map(|(_, places)| places.len()).sum();
            prop_assert!(used <= healthy || (used == all && healthy * 100 < usize::from(panic) * all));
        }
    }
}
