//! When checks make an endpoint healthy or unhealthy.

/// What the checks of an endpoint came to.
pub(super) struct Verdict {
    healthy: bool,
    /// Checks in a row that say the opposite.
    against: u32,
    healthy_after: u32,
    unhealthy_after: u32,
    /// No check has ended yet.
    first: bool,
}

/// A verdict that has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Healthy,
    Unhealthy,
}

impl Verdict {
    pub(super) fn new(healthy: bool, healthy_after: u32, unhealthy_after: u32) -> Self {
        Self { healthy, against: 0, healthy_after, unhealthy_after, first: true }
    }

    /// A check ended. The very first success makes an endpoint healthy at once, so that a start does not take
    /// several intervals.
    pub(super) fn add(&mut self, good: bool) -> Option<Change> {
        let first = std::mem::replace(&mut self.first, false);
        if good == self.healthy {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = match good {
            true if first => 1,
            true => self.healthy_after,
            false => self.unhealthy_after,
        };
        if self.against < needed {
            return None;
        }
        self.healthy = good;
        self.against = 0;
        Some(if good { Change::Healthy } else { Change::Unhealthy })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_takes_a_row() {
        let mut verdict = Verdict::new(true, 2, 3);
        let mut add = |good| verdict.add(good);
        assert_eq!([false, false, true, false, false].map(&mut add), [None; 5]);
        assert_eq!(add(false), Some(Change::Unhealthy));
        assert_eq!([true, false, true].map(&mut add), [None; 3]);
        assert_eq!(add(true), Some(Change::Healthy));
    }

    #[test]
    fn the_first_success_is_enough() {
        assert_eq!(Verdict::new(false, 3, 3).add(true), Some(Change::Healthy));
        let mut later = Verdict::new(false, 2, 3);
        assert_eq!([false, true, true].map(|good| later.add(good)), [None, None, Some(Change::Healthy)]);
    }

    proptest! {
        /// The model looks at the last checks only: all the same, and as many as it takes.
        #[test]
        fn the_last_checks_decide(checks in prop::collection::vec(any::<bool>(), 0..60), up in 1_u32..5, down in 1_u32..5) {
            let mut verdict = Verdict::new(true, up, down);
            let mut healthy = true;
            for end in 1..=checks.len() {
                let change = verdict.add(checks[end - 1]);
                let needed = if healthy { down } else { up } as usize;
                let turned = end >= needed && checks[end - needed..end].iter().all(|good| *good != healthy);
                if turned {
                    healthy = !healthy;
                }
                prop_assert_eq!(change.is_some(), turned);
                prop_assert_eq!(verdict.healthy, healthy);
            }
        }
    }
}
