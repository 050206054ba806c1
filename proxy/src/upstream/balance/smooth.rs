//! Smooth weighted round robin, as nginx does it: each turn adds everybody's share to its credit, and the one with
//! the most credit pays for all. So turns of one endpoint are as far apart as they can be.

/// The credit of each.
pub(super) struct Smooth {
    credits: Box<[f64]>,
}

impl Smooth {
    /// Nobody has credit yet, but for the one where `worker` begins: workers must not all begin with the heaviest.
    pub(super) fn new(count: usize, worker: usize) -> Self {
        let mut credits = vec![0.0; count];
        if count > 0 {
            credits[worker % count] = f64::EPSILON;
        }
        Self { credits: credits.into() }
    }

    /// Whose turn it is, by the shares that there are now.
    pub(super) fn next(&mut self, share: impl Fn(usize) -> f64) -> usize {
        let (mut best, mut all) = (0, 0.0);
        for seat in 0..self.credits.len() {
            let share = share(seat);
            all += share;
            self.credits[seat] += share;
            if self.credits[seat] > self.credits[best] {
                best = seat;
            }
        }
        if let Some(credit) = self.credits.get_mut(best) {
            *credit -= all;
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn turns_are_spread() {
        let mut smooth = Smooth::new(3, 0);
        let turns: String = (0..7).map(|_| ["a", "b", "c"][smooth.next(|seat| [5.0, 1.0, 1.0][seat])]).collect();
        assert_eq!(turns, "aabacaa");
    }

    proptest! {
        /// The model: after as many turns as all weights together, each has had as many as its weight says.
        #[test]
        fn each_has_as_many_turns_as_its_weight(weights in prop::collection::vec(1_u32..50, 1..10), worker in 0_usize..8) {
            let mut smooth = Smooth::new(weights.len(), worker);
            let mut turns = vec![0; weights.len()];
            for _ in 0..2 * weights.iter().sum::<u32>() {
                turns[smooth.next(|seat| f64::from(weights[seat]))] += 1;
            }
            prop_assert_eq!(turns, weights.iter().map(|weight| 2 * weight).collect::<Vec<_>>());
        }

        /// At no time is one more than a turn away from its share.
        #[test]
        fn nobody_is_far_from_its_share(weights in prop::collection::vec(1_u32..10, 2..6), rounds in 1_u32..200) {
            let mut smooth = Smooth::new(weights.len(), 0);
            let mut turns = vec![0_u32; weights.len()];
            for _ in 0..rounds {
                turns[smooth.next(|seat| f64::from(weights[seat]))] += 1;
            }
            let all: u32 = weights.iter().sum();
            for (had, weight) in turns.iter().zip(&weights) {
                let share = f64::from(rounds * weight) / f64::from(all);
                prop_assert!((f64::from(*had) - share).abs() < weights.len() as f64, "{had} of {share}");
            }
        }
    }
}
