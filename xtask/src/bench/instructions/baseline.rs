//! The figures that were accepted, and what a run says against them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::profile::Profile;
use crate::workspace::Workspace;

/// Where the baseline is.
const FILE: &str = "benches/instructions.json";
/// How much more than the baseline a figure may be, in percent.
const TOLERANCE: i64 = 5;
/// A growth by so many instructions is none, however small the figure. A figure of a part is the difference of two requests of
/// 45,000, and the compiler inlines differently when it sees other code elsewhere.
const SLACK: i64 = 100;
/// The functions that are kept have at least one part in so many of the scenario's instructions.
const SHARE: i64 = 100;
/// How many functions explain a growth.
const EXPLAIN: usize = 8;

/// The accepted figures, by processor architecture.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Baseline(BTreeMap<String, Figures>);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Figures {
    /// The versions of the tools that made them.
    tools: BTreeMap<String, String>,
    scenarios: BTreeMap<String, Measured>,
}

/// One figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Instructions for each time.
    pub(super) instructions: i64,
    /// The functions with most of them.
    functions: BTreeMap<String, i64>,
}

/// What a run says.
pub(super) struct Report {
    /// Every figure beside its baseline.
    pub(super) table: String,
    /// What is wrong, a paragraph each.
    pub(super) problems: Vec<String>,
}

impl Measured {
    /// The figure for one of so many times.
    pub(super) fn new(profile: &Profile, times: u64) -> Self {
        let times = times as i64;
        let each = |count: i64| (count + times / 2).div_euclid(times);
        let functions = profile.functions.iter().map(|(name, count)| (name.clone(), each(*count)));
        Self { instructions: each(profile.total()), functions: functions.filter(|(_, count)| *count != 0).collect() }
    }

    /// The functions with the most instructions.
    pub(super) fn top(&self, count: usize) -> Vec<(&str, i64)> {
        let mut all: Vec<_> = self.functions.iter().map(|(name, count)| (&**name, *count)).collect();
        all.sort_by_key(|(name, count)| (-count, *name));
        all.truncate(count);
        all
    }

    /// Without the functions that do not matter.
    fn condensed(mut self) -> Self {
        let least = self.instructions / SHARE;
        self.functions.retain(|_, count| count.abs() > least);
        self
    }

    /// The functions that grew most, a line each. One that the baseline does not name had less than a hundredth.
    fn growth(&self, baseline: &Self) -> Vec<String> {
        let least = baseline.instructions / SHARE;
        let grown = |(name, now): (&String, &i64)| match baseline.functions.get(name) {
            Some(before) => (now - before, name.clone(), before.to_string(), *now),
            None => (now - least, name.clone(), format!("< {least}"), *now),
        };
        let mut all: Vec<_> = self.functions.iter().map(grown).filter(|grown| grown.0 > 0).collect();
        all.sort_by(|a, b| b.cmp(a));
        let line = |(_, name, before, now): (i64, String, String, i64)| format!("    {before:>8} -> {now:>8}  {name}");
        all.into_iter().take(EXPLAIN).map(line).collect()
    }
}

impl Baseline {
    /// Reads the file; an empty baseline where there is none.
    pub(super) fn read(workspace: &Workspace) -> Result<Self> {
        let file = workspace.root.join(FILE);
        if !file.is_file() {
            return Ok(Self::default());
        }
        serde_json::from_slice(&fs::read(file)?).with_context(|| format!("{FILE} is not what this command writes"))
    }

    /// Writes the file.
    pub(super) fn write(&self, workspace: &Workspace) -> Result<()> {
        fs::write(workspace.root.join(FILE), serde_json::to_string_pretty(self)? + "\n")?;
        eprintln!("{FILE} has the new figures; commit it");
        Ok(())
    }

    /// Whether there are figures for this architecture.
    pub(super) fn knows(&self, architecture: &str) -> bool {
        self.0.contains_key(architecture)
    }

    /// Takes figures over; where they are all that there are, the others go.
    pub(super) fn accept(
        &mut self,
        architecture: &str,
        tools: BTreeMap<String, String>,
        measured: Vec<(String, Measured)>,
        all: bool,
    ) {
        let figures = self.0.entry(architecture.to_owned()).or_default();
        if all {
            figures.scenarios.clear();
        }
        figures.tools = tools;
        figures.scenarios.extend(measured.into_iter().map(|(name, measured)| (name, measured.condensed())));
    }

    /// Compares a run with the baseline; `all` says whether the run has every scenario.
    pub(super) fn compare(
        &self,
        architecture: &str,
        tools: &BTreeMap<String, String>,
        measured: &[(String, Measured)],
        all: bool,
    ) -> Report {
        let nothing = Figures::default();
        let figures = self.0.get(architecture).unwrap_or(&nothing);
        let mut report = Report { table: String::new(), problems: Vec::new() };
        let _ = writeln!(report.table, "{:>10} {:>10} {:>8}  instructions for each", "baseline", "now", "change");
        for (name, now) in measured {
            report.add(name, figures.scenarios.get(name), now);
        }
        let gone = figures.scenarios.keys().filter(|name| all && !measured.iter().any(|(other, _)| other == *name));
        report.problems.extend(gone.map(|name| format!("{name}: it is in the baseline only")));
        if !report.problems.is_empty() && figures.tools != *tools {
            let list = |tools: &BTreeMap<String, String>| tools.values().cloned().collect::<Vec<_>>().join(", ");
            let (then, now) = (list(&figures.tools), list(tools));
            report.problems.push(format!("The baseline was made with {then}; this is {now}"));
        }
        report
    }
}

impl Report {
    fn add(&mut self, name: &str, baseline: Option<&Measured>, now: &Measured) {
        let Some(baseline) = baseline else {
            let _ = writeln!(self.table, "{:>10} {:>10} {:>8}  {name}", "-", now.instructions, "new");
            return self.problems.push(format!("{name}: the baseline has no figure for it"));
        };
        let (was, is) = (baseline.instructions, now.instructions);
        let change = (is - was) as f64 / was.max(1) as f64 * 100.0;
        let _ = writeln!(self.table, "{was:>10} {is:>10} {change:>+7.1}%  {name}");
        if is * 100 > was * (100 + TOLERANCE) && is - was > SLACK {
            let more = format!("more than {TOLERANCE} % and more than {SLACK}");
            let mut problem = format!("{name}: {was} -> {is} instructions, {change:+.1} %, {more}");
            problem.push_str("; what grew most:\n");
            problem.push_str(&now.growth(baseline).join("\n"));
            self.problems.push(problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(functions: &[(&str, i64)]) -> Measured {
        let functions = functions.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Measured::new(&Profile { functions }, 1)
    }

    fn baseline(figures: Measured) -> Baseline {
        let mut baseline = Baseline::default();
        baseline.accept("x", BTreeMap::new(), vec![("a request".to_owned(), figures)], true);
        baseline
    }

    #[test]
    fn a_growth_beyond_the_tolerance_names_the_functions_that_grew() {
        let baseline = baseline(measured(&[("parse", 6000), ("send", 4000), ("tiny", 10)]));
        let now = [("a request".to_owned(), measured(&[("parse", 6000), ("send", 4500), ("tiny", 90), ("new", 200)]))];
        let report = baseline.compare("x", &BTreeMap::new(), &now, true);
        assert_eq!(report.problems.len(), 1);
        let problem = &report.problems[0];
        assert!(problem.starts_with("a request: 10010 -> 10790 instructions, +7.8 %"), "{problem}");
        assert!(problem.contains("4000 ->     4500  send") && problem.contains("< 100 ->      200  new"), "{problem}");
        assert!(!problem.contains("parse") && !problem.contains("tiny"), "{problem}");
    }

    #[test]
    fn a_growth_within_the_tolerance_or_the_slack_and_a_fall_are_well() {
        for (was, is) in [(10_000, 10_500), (10_000, 100), (1000, 1100)] {
            let baseline = baseline(measured(&[("parse", was)]));
            let now = [("a request".to_owned(), measured(&[("parse", is)]))];
            assert!(baseline.compare("x", &BTreeMap::new(), &now, true).problems.is_empty());
        }
    }

    #[test]
    fn scenarios_without_a_partner_are_told() {
        let baseline = baseline(measured(&[("parse", 1000)]));
        let now = [("another".to_owned(), measured(&[("parse", 1)]))];
        assert_eq!(baseline.compare("x", &BTreeMap::new(), &now, true).problems.len(), 2);
        assert_eq!(baseline.compare("x", &BTreeMap::new(), &now, false).problems.len(), 1);
    }
}
