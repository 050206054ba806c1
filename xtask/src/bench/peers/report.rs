//! What was measured, as it stands in docs/benchmark.json.

mod page;
mod plot;
mod table;

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::load::{Figures, Sample};
use super::machine::Machine;
use super::scenario::{CPU, OTHERS, SPEEDUP, Scenario};
use super::subject::Subject;
use crate::workspace::Workspace;

pub(super) use table::{marginal, scenario as table};

/// All scenarios that were measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Report {
    /// The scenarios in the order of the command's help.
    scenarios: Vec<Measured>,
}

/// One scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Measured {
    /// The scenario's name.
    pub(super) scenario: String,
    /// The day, UTC.
    pub(super) date: String,
    /// The command that measures it again.
    pub(super) command: String,
    /// The machine.
    pub(super) machine: Machine,
    /// Versions of what was measured, and of the load generators.
    pub(super) versions: BTreeMap<String, String>,
    /// The rows.
    pub(super) rows: Vec<Row>,
}

/// One subject.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    /// The subject's name.
    pub(super) subject: String,
    /// How many workers it had.
    pub(super) workers: usize,
    /// The median of each figure over the rounds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) medians: Figures,
    /// The figures of each round.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) rounds: Vec<Figures>,
    /// Why the subject cannot do this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_supported: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl Row {
    /// A row without figures.
    pub(super) fn new(subject: Subject, workers: usize) -> Self {
        let (medians, rounds) = (Figures::new(), Vec::new());
        Self { subject: subject.name(), workers, medians, rounds, not_supported: None, error: None }
    }

    /// What the row is called.
    pub(super) fn label(&self) -> String {
        match self.workers {
            1 => self.subject.clone(),
            workers => format!("{}, {workers} workers", self.subject),
        }
    }

    /// Adds a round. A request that failed makes the row an error.
    pub(super) fn add(&mut self, sample: Sample) {
        if sample.failed > 0 {
            let text = format!("{} of {} requests failed", sample.failed, sample.requests);
            self.error.get_or_insert(text);
        }
        self.rounds.push(sample.figures);
        let keys: Vec<_> = self.rounds.iter().flat_map(BTreeMap::keys).cloned().collect();
        for key in keys {
            let values = self.rounds.iter().filter_map(|round| round.get(&key).copied()).collect();
            self.medians.extend(median(values).map(|value| (key, value)));
        }
    }

    /// The subject cannot do this.
    pub(super) fn not_supported(&mut self, reason: String) {
        self.not_supported = Some(reason);
    }

    /// Something went wrong.
    pub(super) fn failed(&mut self, error: &anyhow::Error) {
        self.error = Some(format!("{error:#}"));
    }
}

impl Measured {
    /// The row of a subject with so many workers, when it has figures.
    fn row(&self, subject: Subject, workers: usize) -> Option<&Row> {
        let name = subject.name();
        self.rows.iter().find(|row| row.subject == name && row.workers == workers && !row.medians.is_empty())
    }

    /// Which scenario it is; none when the file is of another version of this program.
    fn kind(&self) -> Option<Scenario> {
        Scenario::from_str(&self.scenario, false).ok()
    }

    /// The most of the proxy's processor that went to others in any round, in percent: how far the machine was from
    /// quiet. Two workers have two processors, of which this looks at one only.
    pub(super) fn others_percent(&self) -> Option<f64> {
        let rounds = self.rows.iter().filter(|row| row.workers == 1).flat_map(|row| &row.rounds);
        rounds.filter_map(|round| round.get(OTHERS).copied()).reduce(f64::max)
    }

    /// What several workers bring: with `n` of them and no more processors than those, throughput grows by `n` times
    /// what a request costs with one over what it costs with `n`.
    pub(super) fn add_speedups(&mut self) {
        let alone: BTreeMap<_, _> = self.rows.iter().filter(|row| row.workers == 1).collect_costs();
        for row in self.rows.iter_mut().filter(|row| row.workers > 1) {
            if let (Some(one), Some(many)) = (alone.get(&row.subject), row.medians.get(CPU)) {
                let workers = f64::from(u32::try_from(row.workers).unwrap_or(u32::MAX));
                row.medians.insert(SPEEDUP.into(), workers * one / many);
            }
        }
    }
}

trait Costs {
    fn collect_costs(self) -> BTreeMap<String, f64>;
}

impl<'a, I: Iterator<Item = &'a Row>> Costs for I {
    fn collect_costs(self) -> BTreeMap<String, f64> {
        self.filter_map(|row| Some((row.subject.clone(), *row.medians.get(CPU)?))).collect()
    }
}

impl Report {
    /// Puts what was measured now in the place of what the files in docs have of the same scenarios, and writes them.
    pub(super) fn write(workspace: &Workspace, measured: &[Measured]) -> Result<()> {
        let docs = workspace.root.join("docs");
        let file = docs.join("benchmark.json");
        let mut report: Self = match fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?,
            Err(_) => Self::default(),
        };
        report.merge(measured);
        let json = serde_json::to_string_pretty(&report)? + "\n";
        let files = [("json", json), ("md", page::markdown(&report.scenarios)), ("svg", plot::svg(&report.scenarios))];
        for (extension, text) in files {
            let file = docs.join(format!("benchmark.{extension}"));
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            eprintln!("written: {}", file.display());
        }
        Ok(())
    }

    fn merge(&mut self, measured: &[Measured]) {
        self.scenarios.retain(|old| measured.iter().all(|new| new.scenario != old.scenario));
        self.scenarios.extend_from_slice(measured);
        let place = |measured: &Measured| {
            Scenario::value_variants().iter().position(|scenario| Some(*scenario) == measured.kind())
        };
        self.scenarios.retain(|measured| place(measured).is_some());
        self.scenarios.sort_by_key(place);
    }
}

/// The middle value, or the mean of the two in the middle.
pub(in crate::bench) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests;
