//! Tables, for the terminal and for pages.

use super::{Measured, median};
use crate::bench::peers::scenario::{AT_ONCE, CPU, Column, IN_FLIGHT, IN_TURN, Scenario};
use crate::bench::peers::subject::Subject;

/// A table: headings and rows.
#[derive(Debug, Default, PartialEq)]
pub(in crate::bench::peers) struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// For a terminal: the columns padded.
    pub(in crate::bench::peers) fn text(&self) -> String {
        let all = || std::iter::once(&self.headings).chain(&self.rows);
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|column| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
            .collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(index, (cell, width))| match index {
                0 => format!("{cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            });
            cells.collect::<String>().trim_end().to_owned() + "\n"
        };
        all().map(line).collect()
    }

    /// As Markdown.
    pub(super) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: Vec<_> = (0..self.headings.len()).map(|index| if index == 0 { "---" } else { "---:" }).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}|{}|\n{rows}", line(&self.headings), rule.join("|"))
    }

    /// Whether it has no rows.
    pub(in crate::bench::peers) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// A scenario's figures, and their ratios to nginx and to Envoy without filters.
pub(in crate::bench::peers) fn scenario(measured: &Measured) -> Table {
    let Some(kind) = measured.kind() else { return Table::default() };
    let columns = kind.columns();
    let ratios = ratios(kind);
    let mut headings: Vec<_> =
        [""].into_iter().chain(columns.iter().map(|column| column.heading)).map(str::to_owned).collect();
    headings.extend(ratios.iter().map(|(_, heading, _)| heading.clone()));
    let rows = measured.rows.iter().map(|row| {
        let mut cells = vec![row.label()];
        if let Some(word) = row.word() {
            cells.push(word.into());
            cells.resize(headings.len(), String::new());
            return cells;
        }
        let figure = |column: &Column| row.medians.get(column.key).map(|value| number(*value, column.digits));
        cells.extend(columns.iter().map(|column| figure(column).unwrap_or_default()));
        cells.extend(ratios.iter().map(|(key, _, base)| {
            let base = measured.row(*base, row.workers).and_then(|base| base.medians.get(*key));
            let ratio = row.medians.get(*key).zip(base).filter(|(_, base)| **base > 0.0);
            ratio.map(|(value, base)| number(value / base, 2)).unwrap_or_default()
        }));
        cells
    });
    Table { rows: rows.collect(), headings: headings.clone() }
}

impl super::Row {
    /// What stands in the place of figures.
    pub(super) fn word(&self) -> Option<&'static str> {
        match (&self.error, &self.not_supported) {
            (Some(_), _) => Some("error"),
            (_, Some(_)) => Some("not supported"),
            _ => None,
        }
    }
}

/// Which figures are compared, the heading, and with whom.
fn ratios(kind: Scenario) -> Vec<(&'static str, String, Subject)> {
    let keys: &[(&str, &str)] = match kind {
        Scenario::Memory => &[(IN_TURN, " in turn"), (AT_ONCE, " at once")],
        _ => &[(kind.key(), "")],
    };
    let peers = [("× nginx", Subject::Nginx), ("× Envoy", Subject::Envoy)];
    let ratio = |(key, which): &(&'static str, &str)| {
        let key = *key;
        peers.map(|(name, subject)| (key, format!("{name}{which}"), subject))
    };
    let mut all: Vec<_> = keys.iter().flat_map(ratio).collect();
    if kind == Scenario::Memory {
        // What holds an instance for each request is compared with what does so too.
        all.push((IN_FLIGHT, "× Traefik with a filter, in flight".to_owned(), Subject::TraefikWasm1));
    }
    all
}

/// Who has how many filters more than whom.
const ADDED: [(Subject, Subject, u32, &str); 9] = [
    (Subject::Gofe, Subject::GofeWasm1, 1, "gofe, a plugin"),
    (Subject::Gofe, Subject::GofeWasm4, 4, "gofe, each of four of them"),
    (Subject::Gofe, Subject::GofeProxyWasm1, 1, "gofe, one proxy-wasm filter"),
    (Subject::Gofe, Subject::GofeProxyWasm4, 4, "gofe, each of four proxy-wasm filters"),
    (Subject::Gofe, Subject::GofeStandard4, 4, "gofe, each of the four standard plugins"),
    (Subject::Gofe, Subject::GofeHttpWasm, 1, "gofe, an http-wasm filter"),
    (Subject::Envoy, Subject::EnvoyWasm1, 1, "Envoy, a proxy-wasm filter"),
    (Subject::Envoy, Subject::EnvoyWasm4, 4, "Envoy, each of four of them"),
    (Subject::Traefik, Subject::TraefikWasm1, 1, "Traefik, an http-wasm filter"),
];

/// What one filter adds to a request's CPU time: the median over the rounds of the difference in one round. Compared
/// with Envoy's for as many filters.
pub(in crate::bench::peers) fn marginal(measured: &Measured) -> Table {
    let cost = |(without, with, count, _): (Subject, Subject, u32, &str)| {
        let (without, with) = (measured.row(without, 1)?, measured.row(with, 1)?);
        let rounds = without.rounds.iter().zip(&with.rounds);
        let differences = rounds.filter_map(|(without, with)| Some(with.get(CPU)? - without.get(CPU)?));
        Some(median(differences.collect())? / f64::from(count))
    };
    let envoy = |count: u32| {
        let of_envoy = ADDED.into_iter().find(|added| added.0 == Subject::Envoy && added.2 == count);
        of_envoy.and_then(cost).filter(|cost| *cost > 0.0)
    };
    let rows = ADDED.into_iter().filter_map(|added| {
        let cost = cost(added)?;
        let ratio = envoy(added.2).map(|envoy| number(cost / envoy, 2)).unwrap_or_default();
        Some(vec![added.3.to_owned(), number(cost, 2), ratio])
    });
    Table { headings: ["", "CPU µs", "× Envoy"].map(str::to_owned).into(), rows: rows.collect() }
}

/// A number with so many digits behind the point, and commas between thousands.
fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let whole = text.find('.').unwrap_or(text.len());
    let mut grouped = String::new();
    for (index, character) in text.chars().enumerate() {
        let left = whole.saturating_sub(index);
        if index > 0 && index < whole && left.is_multiple_of(3) && grouped != "-" {
            grouped.push(',');
        }
        grouped.push(character);
    }
    grouped
}
