//! docs/benchmark.svg: bars of the CPU time of a request, legible on light and on dark.

use super::{Measured, Row};
use crate::bench::peers::scenario::{CPU, Scenario};

const WIDTH: f64 = 760.0;
/// Where bars begin, and where the longest ends.
const LEFT: f64 = 150.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 58.0;
const STEP: f64 = 28.0;
const BAR: f64 = 20.0;

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 16px; font-weight: 600; }
.note { font-size: 12px; fill: #57606a; }
.name { text-anchor: end; }
.bar { fill: #8c959f; }
.gofe { fill: #0969da; }
.strong { font-weight: 600; }
.line { stroke: #57606a; stroke-dasharray: 3 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  .bar { fill: #6e7681; }
  .gofe { fill: #4493f8; }
  .line { stroke: #9198a1; }
}
";

/// The plot of the throughput scenario; without it, only its title.
pub(super) fn svg(measured: &[Measured]) -> String {
    let throughput = measured.iter().find(|one| one.kind() == Some(Scenario::Throughput));
    let rows: Vec<_> = throughput.into_iter().flat_map(bars).collect();
    let longest = rows.iter().map(|(_, cost)| *cost).fold(f64::MIN_POSITIVE, f64::max);
    let nginx = rows.iter().find(|(row, _)| row.subject == "nginx").map(|(_, cost)| *cost);
    let scale = (RIGHT - LEFT) / longest;
    let mut body = String::new();
    let mut y = TOP;
    for (row, cost) in &rows {
        body += &bar(row, *cost, nginx, cost * scale, y);
        y += STEP;
    }
    if let Some(cost) = nginx {
        let x = LEFT + cost * scale;
        body += &format!("<line class=\"line\" x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{y:.1}\"/>\n", TOP - 6.0);
    }
    let date = throughput.map(|one| format!("{}, {}", one.date, one.machine.cpu)).unwrap_or_default();
    let height = y + 12.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"CPU for each request\">\n<style>\n{STYLE}</style>\n\
         <text class=\"title\" x=\"16\" y=\"26\">CPU for each request, µs (less is better)</text>\n\
         <text class=\"note\" x=\"16\" y=\"44\">one worker, HTTP/1.1, 1 KiB; {}</text>\n{body}</svg>\n",
        escaped(&date)
    )
}

/// The rows that have a figure, cheapest first.
fn bars(measured: &Measured) -> Vec<(&Row, f64)> {
    let cost = |row: &Row| row.medians.get(CPU).copied().filter(|_| row.word().is_none());
    let mut bars: Vec<_> = measured.rows.iter().filter_map(|row| Some((row, cost(row)?))).collect();
    bars.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    bars
}

fn bar(row: &Row, cost: f64, nginx: Option<f64>, length: f64, y: f64) -> String {
    let (class, strong) = if row.subject.starts_with("gofe") { ("bar gofe", " strong") } else { ("bar", "") };
    let ratio = nginx.map(|nginx| format!(" ({:.2} ×)", cost / nginx)).unwrap_or_default();
    let baseline = y + BAR * 0.72;
    format!(
        "<text class=\"name{strong}\" x=\"{:.1}\" y=\"{baseline:.1}\">{}</text>\n\
         <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"3\"/>\n\
         <text class=\"value{strong}\" x=\"{:.1}\" y=\"{baseline:.1}\">{cost:.1}{ratio}</text>\n",
        LEFT - 10.0,
        escaped(&row.subject),
        LEFT + length + 8.0
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
