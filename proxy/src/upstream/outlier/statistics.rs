//! Which endpoints are worse than the others.

use std::time::Duration;

use super::Totals;
use crate::config::{LatencyOutlier, Sample, SuccessRate};

/// The indices of endpoints whose share of successes is lower than the mean minus so many standard deviations.
pub(super) fn low_success(totals: &[Totals], config: &SuccessRate) -> Vec<usize> {
    let rates = enough(totals, config.sample, |total| total.successes as f64 / total.requests as f64);
    let count = rates.len() as f64;
    let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
    let variance = rates.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count;
    let threshold = mean - variance.sqrt() * f64::from(config.deviation) / 1_000.0;
    rates.into_iter().filter(|(_, rate)| *rate < threshold).map(|(at, _)| at).collect()
}

/// The indices of endpoints whose mean latency is higher than so many times the median of the others'.
pub(super) fn high_latency(totals: &[Totals], config: &LatencyOutlier) -> Vec<usize> {
    let mean = |total: &Totals| total.latency.as_secs_f64() / total.requests as f64;
    let means = enough(totals, config.sample, mean);
    let slow = |(at, mean): &(usize, f64)| {
        let mut others: Vec<f64> = means.iter().filter(|(other, _)| other != at).map(|(_, mean)| *mean).collect();
        others.sort_by(f64::total_cmp);
        // Of an even number the higher of the two in the middle: in doubt nobody is ejected.
        let median = others.get(others.len() / 2).copied().unwrap_or(f64::MAX);
        *mean > median * f64::from(config.factor) && *mean > Duration::from_millis(1).as_secs_f64()
    };
    means.iter().filter(|one| slow(one)).map(|(at, _)| *at).collect()
}

/// The figure of each endpoint that had enough requests; nothing where there are too few of these.
fn enough(totals: &[Totals], sample: Sample, figure: impl Fn(&Totals) -> f64) -> Vec<(usize, f64)> {
    let had = totals.iter().enumerate().filter(|(_, total)| total.requests >= sample.requests);
    let figures: Vec<_> = had.map(|(at, total)| (at, figure(total))).collect();
    if figures.len() < sample.endpoints { Vec::new() } else { figures }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(rates: &[(u64, u64, u64)]) -> Vec<Totals> {
        let total = |(requests, successes, millis): &(u64, u64, u64)| Totals {
            requests: *requests,
            successes: *successes,
            latency: Duration::from_millis(millis * requests),
        };
        rates.iter().map(total).collect()
    }

    const RATE: SuccessRate = SuccessRate { deviation: 1_900, sample: Sample { endpoints: 5, requests: 100 } };
    const LATENCY: LatencyOutlier = LatencyOutlier { factor: 3, sample: Sample { endpoints: 3, requests: 100 } };

    #[test]
    fn one_that_fails_more_often_stands_out() {
        let good = (100, 99, 1);
        assert_eq!(low_success(&totals(&[good, good, (100, 50, 1), good, good]), &RATE), [2]);
        assert_eq!(low_success(&totals(&[good, good, good, good, good]), &RATE), [0; 0]);
        // Too few requests, or too few endpoints with enough of them.
        assert_eq!(low_success(&totals(&[good, good, (99, 0, 1), good, good]), &RATE), [0; 0]);
        assert_eq!(low_success(&totals(&[good, (100, 0, 1)]), &RATE), [0; 0]);
        assert_eq!(low_success(&[], &RATE), [0; 0]);
    }

    #[test]
    fn one_that_is_slow_stands_out() {
        assert_eq!(high_latency(&totals(&[(100, 100, 10), (100, 100, 12), (100, 100, 40)]), &LATENCY), [2]);
        assert_eq!(high_latency(&totals(&[(100, 100, 10), (100, 100, 12), (100, 100, 30)]), &LATENCY), [0; 0]);
        assert_eq!(high_latency(&totals(&[(100, 100, 10), (100, 100, 40)]), &LATENCY), [0; 0]);
    }
}
