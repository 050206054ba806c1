//! A draw in which each has a share.

/// Shares, added up.
pub(super) struct Cumulative {
    ends: Box<[u64]>,
}

impl Cumulative {
    /// Shares of these weights, of which at least one is not 0.
    pub(super) fn new(weights: impl Iterator<Item = u32>) -> Self {
        let mut end = 0;
        let add = |weight: u32| {
            end += u64::from(weight);
            end
        };
        Self { ends: weights.map(add).collect() }
    }

    /// Whom the dice fall to.
    pub(super) fn find(&self, dice: u64) -> usize {
        let all = u128::from(self.ends.last().copied().unwrap_or_default());
        let at = ((u128::from(dice) * all) >> 64) as u64;
        self.ends.partition_point(|end| *end <= at).min(self.ends.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The model: numbers are laid out, each as often as its weight.
        #[test]
        fn each_has_its_share(weights in prop::collection::vec(0_u32..20, 1..8), dice: u64) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let laid: Vec<usize> =
                weights.iter().enumerate().flat_map(|(at, weight)| vec![at; *weight as usize]).collect();
            let place = ((u128::from(dice) * laid.len() as u128) >> 64) as usize;
            prop_assert_eq!(Cumulative::new(weights.into_iter()).find(dice), laid[place]);
        }
    }
}
