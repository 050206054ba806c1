//! How many tries may be repeated: so many of the requests of late, so that repeating cannot become the load.

use super::window::Sliding;
use crate::config::RetryBudget;

/// The stretch of time that is looked at, in milliseconds.
const STRETCH: u64 = 10_000;

/// The budget of an upstream's repeated tries, for all workers.
#[derive(Debug)]
pub(super) struct Budget {
    config: RetryBudget,
    /// Requests, and repeated tries.
    counts: Sliding<2>,
}

impl Budget {
    pub(super) fn new(config: &RetryBudget) -> Self {
        Self { config: config.clone(), counts: Sliding::new(STRETCH) }
    }

    /// A request begins, at a time in milliseconds.
    pub(super) fn deposit(&self, now: u64) {
        self.counts.add(now, [1, 0]);
    }

    /// Whether one more try may be made. Two workers at once may go over it by one.
    pub(super) fn withdraw(&self, now: u64) -> bool {
        let [requests, repeated] = self.counts.sums(now);
        let share = u64::from(requests) * u64::from(self.config.percent) / 100;
        let minimum = u64::from(self.config.minimum) * STRETCH / 1000;
        let enough = u64::from(repeated) < share.max(minimum);
        if enough {
            self.counts.add(now, [0, 1]);
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Over any run of requests, all of which fail and would be repeated, the tries stay within the budget.
        #[test]
        fn repeated_tries_stay_within_the_budget(gaps in prop::collection::vec(0_u64..200, 1..2000), percent in 0_u32..100) {
            let budget = Budget::new(&RetryBudget { percent, minimum: 0 });
            let (mut now, mut requests, mut repeated) = (1_000_000, 0_u64, 0_u64);
            for gap in gaps {
                now += gap;
                budget.deposit(now);
                requests += 1;
                while budget.withdraw(now) {
                    repeated += 1;
                }
                prop_assert!(repeated * 100 <= requests * u64::from(percent), "{repeated} of {requests}");
            }
        }
    }

    #[test]
    fn few_requests_have_the_minimum() {
        let budget = Budget::new(&RetryBudget { percent: 20, minimum: 1 });
        budget.deposit(0);
        assert_eq!((0..20).filter(|_| budget.withdraw(0)).count(), 10);
        assert!(!budget.withdraw(9_000));
        assert!(budget.withdraw(10_000), "what was spent ten seconds ago is forgotten");
    }
}
