//! When an endpoint is ejected, and for how long: a state machine that is told the time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Totals, statistics};
use crate::config::Outliers;

/// What made an endpoint an outlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Cause {
    /// Errors in a row.
    Consecutive5xx,
    /// Gateway errors in a row.
    ConsecutiveGateway,
    /// Its share of successes.
    SuccessRate,
    /// Its latency.
    Latency,
}

impl Cause {
    /// All, in their order.
    pub(in crate::upstream) const ALL: [Self; 4] =
        [Self::Consecutive5xx, Self::ConsecutiveGateway, Self::SuccessRate, Self::Latency];

    /// The word in metrics and logs.
    pub(in crate::upstream) fn name(self) -> &'static str {
        match self {
            Self::Consecutive5xx => "consecutive-5xx",
            Self::ConsecutiveGateway => "consecutive-gateway-failure",
            Self::SuccessRate => "success-rate",
            Self::Latency => "latency",
        }
    }
}

/// What the detector decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Event {
    /// This endpoint is ejected, for so long.
    Eject { id: u64, cause: Cause, time: Duration },
    /// Its time is over.
    Return { id: u64 },
}

/// Which endpoints are ejected.
pub(in crate::upstream) struct Detector {
    config: Outliers,
    records: HashMap<u64, Record>,
    next_sweep: Instant,
}

#[derive(Debug, Default)]
struct Record {
    /// When the ejection is over, where there is one.
    until: Option<Instant>,
    /// How often it was ejected lately: each is longer than the one before.
    times: u32,
    /// The counts at the last comparison.
    before: Totals,
}

impl Detector {
    pub(in crate::upstream) fn new(config: &Outliers, now: Instant) -> Self {
        Self { config: config.clone(), records: HashMap::new(), next_sweep: now + config.interval }
    }

    /// When to call [`Self::sweep`] next: at the next comparison, or when an ejection is over.
    pub(in crate::upstream) fn next(&self) -> Instant {
        let returns = self.records.values().filter_map(|record| record.until);
        returns.min().map_or(self.next_sweep, |first| first.min(self.next_sweep))
    }

    /// A row of failures makes an endpoint an outlier. `all` is how many endpoints there are.
    pub(in crate::upstream) fn eject(&mut self, id: u64, cause: Cause, all: usize, now: Instant) -> Option<Event> {
        let ejected = self.records.values().filter(|record| record.until.is_some()).count();
        let most = (all * usize::from(self.config.max_ejected) / 100).max(1);
        let record = self.records.entry(id).or_default();
        if record.until.is_some() || ejected >= most || self.config.max_ejected == 0 {
            return None;
        }
        record.times = record.times.saturating_add(1);
        let time = self.config.base_ejection.saturating_mul(record.times).min(self.config.max_ejection);
        record.until = Some(now + time);
        Some(Event::Eject { id, cause, time })
    }

    /// Lets endpoints return whose time is over, and, once in an interval, compares all. `totals` are those of the
    /// endpoints that there are.
    pub(in crate::upstream) fn sweep(&mut self, totals: &[(u64, Totals)], now: Instant) -> Vec<Event> {
        self.records.retain(|id, _| totals.iter().any(|(known, _)| known == id));
        let mut events = Vec::new();
        for (id, record) in &mut self.records {
            if record.until.is_some_and(|until| until <= now) {
                record.until = None;
                events.push(Event::Return { id: *id });
            }
        }
        if now < self.next_sweep {
            return events;
        }
        self.next_sweep = now + self.config.interval;
        let spent: Vec<Totals> = totals.iter().map(|(id, total)| self.spent(*id, *total)).collect();
        let low = self.config.success_rate.as_ref().map(|config| statistics::low_success(&spent, config));
        let slow = self.config.latency.as_ref().map(|config| statistics::high_latency(&spent, config));
        let causes = [(low, Cause::SuccessRate), (slow, Cause::Latency)];
        for (outliers, cause) in causes.map(|(outliers, cause)| (outliers.unwrap_or_default(), cause)) {
            events.extend(outliers.iter().filter_map(|at| self.eject(totals[*at].0, cause, totals.len(), now)));
        }
        events
    }

    /// What came in this interval. An endpoint that served it well comes closer to its first ejection again.
    fn spent(&mut self, id: u64, total: Totals) -> Totals {
        let record = self.records.entry(id).or_default();
        if record.until.is_none() {
            record.times = record.times.saturating_sub(1);
        }
        let spent = total.since(record.before);
        record.before = total;
        spent
    }

    /// For how much longer an endpoint is ejected.
    pub(in crate::upstream) fn left(&self, id: u64, now: Instant) -> Option<Duration> {
        let until = self.records.get(&id)?.until?;
        Some(until.saturating_duration_since(now))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::upstream::outlier) fn config() -> Outliers {
        Outliers {
            consecutive_5xx: 5,
            consecutive_gateway: 0,
            success_rate: None,
            latency: None,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(100),
            max_ejected: 50,
        }
    }

    fn none(count: u64) -> Vec<(u64, Totals)> {
        (1..=count).map(|id| (id, Totals::default())).collect()
    }

    #[test]
    fn each_ejection_is_longer_up_to_a_limit() {
        let mut now = Instant::now();
        let mut detector = Detector::new(&config(), now);
        for expected in [30, 60, 90, 100, 100] {
            let Some(Event::Eject { time, .. }) = detector.eject(1, Cause::Consecutive5xx, 4, now) else {
                panic!("no ejection");
            };
            assert_eq!(time.as_secs(), expected);
            assert_eq!(detector.eject(1, Cause::Consecutive5xx, 4, now), None);
            // Without a comparison in between, which would make the next one shorter.
            detector.next_sweep = now + Duration::from_secs(1_000);
            assert_eq!(detector.sweep(&none(4), now + time - Duration::from_millis(1)), []);
            now += time;
            assert_eq!(detector.sweep(&none(4), now), [Event::Return { id: 1 }]);
        }
    }

    #[test]
    fn good_conduct_is_rewarded() {
        let mut now = Instant::now();
        let mut detector = Detector::new(&config(), now);
        for _ in 0..2 {
            detector.eject(1, Cause::Consecutive5xx, 4, now);
            now += Duration::from_secs(100);
            detector.sweep(&none(4), now);
        }
        for _ in 0..3 {
            now += Duration::from_secs(10);
            detector.sweep(&none(4), now);
        }
        let event = detector.eject(1, Cause::Consecutive5xx, 4, now);
        assert!(matches!(event, Some(Event::Eject { time, .. }) if time.as_secs() == 30), "{event:?}");
    }

    #[test]
    fn one_that_has_left_is_forgotten() {
        let now = Instant::now();
        let mut detector = Detector::new(&config(), now);
        detector.eject(3, Cause::Consecutive5xx, 2, now);
        assert!(detector.left(3, now).is_some());
        detector.sweep(&none(2), now);
        assert!(detector.left(3, now).is_none());
        assert!(detector.eject(1, Cause::Consecutive5xx, 2, now).is_some());
    }

    proptest! {
        /// Whatever happens, no more are ejected than may be (one always may), nobody returns early, and everybody
        /// returns.
        #[test]
        fn the_share_ejected_has_a_limit(
            steps in prop::collection::vec((1_u64..8, 0_u64..40), 1..80), count in 1_u64..8, share in 0_u8..=100,
        ) {
            let mut now = Instant::now();
            let config = Outliers { max_ejected: share, ..config() };
            let mut detector = Detector::new(&config, now);
            let mut model: HashMap<u64, Instant> = HashMap::new();
            let most = if share == 0 { 0 } else { (count as usize * usize::from(share) / 100).max(1) };
            for (id, pause) in steps {
                now += Duration::from_secs(pause);
                for event in detector.sweep(&none(count), now) {
                    let Event::Return { id } = event else { panic!("{event:?}") };
                    prop_assert!(model.remove(&id).is_some_and(|until| until <= now));
                }
                prop_assert!(model.values().all(|until| *until > now));
                if id <= count && let Some(Event::Eject { time, .. }) = detector.eject(id, Cause::Latency, count as usize, now) {
                    prop_assert!(time >= config.base_ejection && time <= config.max_ejection);
                    model.insert(id, now + time);
                }
                prop_assert!(model.len() <= most);
                prop_assert!(detector.next() >= now);
            }
        }
    }
}
