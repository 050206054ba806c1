//! The figures as Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Change, Cpus, Half, Kind, Options, Run};

/// All of it.
pub(super) fn markdown(runs: &[Run], starts: Option<&(Vec<Duration>, Vec<Duration>)>, options: &Options) -> String {
    let mut page = String::new();
    if let Some((cold, warm)) = starts {
        page.push_str("| process start → first answer | p50 ms | most ms | the bar |\n|---|---|---|---|\n");
        for (name, times, bar) in [("nothing compiled", cold, 500), ("compiled code on disk", warm, 50)] {
            let times = Sorted::of(times.iter().map(|time| time.as_secs_f64() * 1e3));
            let _ = writeln!(page, "| {name} | {:.1} | {:.1} | {bar} |", times.at(0.5), times.at(1.0));
        }
        page.push('\n');
    }
    page.push_str(
        "| load | gofe's CPUs | what a version changes | swap p50 ms | p99 ms | failed | requests/s without | during ÷ without: \
         median, least | without ÷ its median, least | p99 ms without | during | ÷ |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for run in runs {
        row(&mut page, run, options);
    }
    page
}

fn row(page: &mut String, run: &Run, options: &Options) {
    let load = match run.load {
        Kind::Open => format!("open, {}/s", options.rate),
        Kind::Closed => "closed".to_owned(),
    };
    let cpus = match run.cpus {
        Cpus::One => "0",
        Cpus::Two => "0, 1",
    };
    let change = match run.change {
        Change::Data => "data",
        Change::Functions => "every function",
    };
    let swaps = Sorted::of(run.swaps.iter().map(|time| time.as_secs_f64() * 1e3));
    let rate = |halves: &[Half]| Sorted::of(halves.iter().map(|half| half.latencies.len() as f64 * 2.0));
    let (during, without) = (rate(&run.during), rate(&run.without));
    let usual = without.at(0.5);
    let p99 = |halves: &[Half]| {
        Sorted::of(halves.iter().flat_map(|half| &half.latencies).map(|micros| f64::from(*micros) / 1e3)).at(0.99)
    };
    let (p99_during, p99_without) = (p99(&run.during), p99(&run.without));
    let _ = writeln!(
        page,
        "| {load} | {cpus} | {change} | {:.1} | {:.1} | {} | {usual:.0} | {:.3}, {:.3} | {:.3} | {p99_without:.2} | \
         {p99_during:.2} | {:.2} |",
        swaps.at(0.5),
        swaps.at(0.99),
        run.failed,
        during.at(0.5) / usual,
        during.at(0.0) / usual,
        without.at(0.0) / usual,
        p99_during / p99_without,
    );
}

struct Sorted(Vec<f64>);

impl Sorted {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value that this share of all does not exceed: the nearest rank.
    fn at(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::Sorted;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let sorted = Sorted::of([3.0, 1.0, 2.0, 4.0].into_iter());
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| sorted.at(share)), [1.0, 2.0, 4.0, 4.0]);
    }
}
