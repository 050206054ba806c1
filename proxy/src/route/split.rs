//! Which of several upstreams a request goes to.

use std::hash::{DefaultHasher, Hasher};

use super::chance::below;

/// The shares of several upstreams. A point stands for the same upstream as long as the shares are the same; where they
/// change, no more points move than must.
#[derive(Debug, Clone)]
pub struct Shares {
    /// The sums of the weights up to each upstream.
    ends: Vec<u64>,
}

impl Shares {
    /// Shares by these weights, not all 0.
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let mut sum = 0;
        let ends = weights.into_iter().map(|weight| {
            sum += u64::from(weight);
            sum
        });
        Self { ends: ends.collect() }
    }

    /// The index of the upstream that a point stands for.
    pub fn at(&self, point: u64) -> usize {
        let point = below(point, self.ends.last().copied().unwrap_or_default());
        self.ends.partition_point(|end| *end <= point)
    }
}

/// The point of what a choice sticks to. It is the same on every worker and in every process of one build.
pub fn point(of: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(of);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::route::chance::roll;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        /// The share of each is its weight's, and one without a weight gets nothing.
        #[test]
        fn shares_are_as_the_weights(weights in proptest::collection::vec(0u32..50, 1..6)) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let shares = Shares::new(weights.clone());
            let mut counts = vec![0u32; weights.len()];
            for _ in 0..10_000 {
                counts[shares.at(roll())] += 1;
            }
            let sum: u32 = weights.iter().sum();
            for (weight, count) in weights.iter().zip(&counts) {
                let expected = f64::from(*weight) / f64::from(sum) * 10_000.0;
                // Five standard deviations of a binomial distribution, at its widest.
                prop_assert!((f64::from(*count) - expected).abs() <= 250.0, "{:?} of {:?}", counts, weights);
                prop_assert!(*weight > 0 || *count == 0);
            }
        }
    }

    #[test]
    fn a_change_of_ten_percent_moves_ten_percent() {
        let (before, after) = (Shares::new([90, 10]), Shares::new([80, 20]));
        let moved = (0..10_000u64).filter(|n| {
            let point = point(&n.to_le_bytes());
            before.at(point) != after.at(point)
        });
        let moved = moved.count();
        assert!((900..1_100).contains(&moved), "{moved} of 10,000 moved");
    }
}
