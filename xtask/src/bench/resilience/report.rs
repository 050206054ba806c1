//! The table and the plot of docs/resilience.md.

use std::fmt::Write;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::endpoint::Fault;
use super::{Governance, Run};

/// Where the page has what was measured of endpoints that fail.
pub(super) const FAILING: &str = "<!-- measured: cargo xtask bench resilience -->";
/// Where it has what all of it costs.
pub(super) const COST: &str = "<!-- measured: cargo xtask bench resilience --cost -->";
const END: &str = "<!-- end -->";

/// The faults of the table.
const FAULTS: [Fault; 5] = [Fault::Healthy, Fault::Errors, Fault::Hang, Fault::Refuse, Fault::Slow];

fn find(runs: &[Run], governance: Governance, fault: Fault) -> Option<&Run> {
    runs.iter().find(|run| run.governance == governance && run.fault == fault)
}

fn percent(run: &Run) -> f64 {
    run.seen.failed as f64 * 100.0 / run.seen.requests.max(1) as f64
}

fn millis(run: &Run) -> f64 {
    run.seen.p99.as_secs_f64() * 1000.0
}

/// The measured part of the page.
pub(super) fn markdown(runs: &[Run], storm: &Run, restarts: &Run, rate: u32, seconds: u64) -> String {
    let mut text = format!(
        "`cargo xtask bench resilience`, {rate} requests a second, {seconds} seconds from the fault on. Each cell: what \
         part of the requests failed, and the 99th percentile of the time that clients waited.\n\n\
         | one of three endpoints | {} |\n|---|{}\n",
        Governance::value_variants().iter().map(|governance| governance.name()).collect::<Vec<_>>().join(" | "),
        "---|".repeat(Governance::value_variants().len())
    );
    for fault in FAULTS {
        text += &format!("| {} |", fault.name());
        for governance in Governance::value_variants() {
            if let Some(run) = find(runs, *governance, fault) {
                // Writing to a String does not fail.
                let _ = write!(text, " {:.2} %, {:.0} ms |", percent(run), millis(run));
            }
        }
        text.push('\n');
    }
    let _ = write!(
        text,
        "\nAll three endpoints answer with errors, with retries: {} requests, {} tries, {:.2} for each.\n\n\
         Each endpoint is killed with SIGKILL and started again, one after the other, and one a second time, with all: {} \
         of {} requests failed, p99 {:.0} ms.\n",
        storm.seen.requests,
        storm.tries,
        storm.tries as f64 / storm.seen.requests.max(1) as f64,
        restarts.seen.failed,
        restarts.seen.requests,
        millis(restarts)
    );
    text
}

/// The page with another measured part, which stands behind `part`.
pub(super) fn page(old: &str, part: &str, measured: &str) -> Result<String> {
    let begin = old.find(part).context("docs/resilience.md has no place for the figures")? + part.len();
    let end = begin + old[begin..].find(END).context("docs/resilience.md has no end of the figures")?;
    Ok(format!("{}\n\n{measured}\n{}", &old[..begin], &old[end..]))
}

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 16px; font-weight: 600; }
.note { font-size: 12px; fill: #57606a; }
.name { text-anchor: end; }
.bar { fill: #8c959f; }
.all { fill: #0969da; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  .bar { fill: #6e7681; }
  .all { fill: #4493f8; }
}
";

/// The plot: for each fault, a bar for what part of the requests failed.
pub(super) fn svg(runs: &[Run]) -> String {
    const LEFT: f64 = 150.0;
    const WIDTH: f64 = 420.0;
    let faults = &FAULTS[1..];
    let longest = faults.iter().flat_map(|fault| runs.iter().filter(move |run| run.fault == *fault));
    let longest = longest.map(percent).fold(1.0, f64::max);
    let (mut body, mut y) = (String::new(), 62.0);
    for fault in faults {
        let _ = writeln!(body, "<text class=\"note\" x=\"16\" y=\"{y}\">one of three {}</text>", fault.name());
        y += 8.0;
        for governance in Governance::value_variants() {
            let Some(run) = find(runs, *governance, *fault) else { continue };
            let class = if *governance == Governance::All { "bar all" } else { "bar" };
            let length = percent(run) / longest * WIDTH;
            let _ = writeln!(
                body,
                "<text class=\"name\" x=\"{}\" y=\"{}\">{}</text>\n\
                 <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"14\" rx=\"2\"/>\n\
                 <text x=\"{:.1}\" y=\"{}\">{:.2} %, p99 {:.0} ms</text>",
                LEFT - 10.0,
                y + 12.0,
                governance.name(),
                LEFT + length + 8.0,
                y + 12.0,
                percent(run),
                millis(run)
            );
            y += 19.0;
        }
        y += 18.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 {y}\" width=\"760\" height=\"{y}\" role=\"img\" \
         aria-label=\"Failed requests\">\n<style>\n{STYLE}</style>\n\
         <text class=\"title\" x=\"16\" y=\"26\">Requests that failed, while one of three endpoints does (less is \
         better)</text>\n{body}</svg>\n"
    )
}
