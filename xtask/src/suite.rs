//! `cargo xtask test`: everything that must hold before a change lands.

use anyhow::Result;
use clap::ValueEnum;

use crate::bench::instructions;
use crate::steps::{Outcome, Steps};
use crate::workspace::Workspace;
use crate::{docs, fuzz, guests, lint, plugins, process, setup};

/// A part of the suite that can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Formatting, clippy, licences, the rules of the house.
    Lint,
    /// Whether plugins/dist is what the sources give.
    Plugins,
    /// Unit, integration, golden and documentation tests.
    Tests,
    /// Whether an input is found that breaks a fuzz target, in a minute for each.
    Fuzz,
    /// Whether the pages name what there is.
    Docs,
    /// What requests and plugins cost in instructions, beside the baseline.
    Instructions,
}

/// Runs the suite, or one part of it. `arguments` go to `cargo test`.
pub(crate) fn run(workspace: &Workspace, only: Option<Part>, arguments: &[String]) -> Result<()> {
    let wanted = |part| only.is_none_or(|only| only == part);
    let mut steps = Steps::default();
    if !steps.run("setup", "cargo xtask setup", || setup::ensure(workspace).map(|()| Outcome::Done)) {
        return steps.finish();
    }
    if wanted(Part::Lint) {
        lint::steps(workspace, &mut steps);
    }
    if wanted(Part::Plugins) {
        steps.run("plugins", "cargo xtask plugins --check", || plugins::check(workspace));
    }
    if wanted(Part::Tests) {
        steps.run("tests", "cargo xtask test --only tests", || tests(workspace, arguments).map(|()| Outcome::Done));
    }
    if wanted(Part::Fuzz) {
        steps.run("fuzz", "cargo xtask fuzz", || fuzz::run(workspace, &fuzz::Options::default()));
    }
    if wanted(Part::Docs) {
        steps.run("docs", "cargo xtask check-docs", || docs::check(workspace).map(|()| Outcome::Done));
    }
    if wanted(Part::Instructions) {
        let count = || instructions::run(workspace, &instructions::Options::default());
        steps.run("instructions", "cargo xtask test --only instructions", count);
    }
    steps.finish()
}

/// Builds what the tests run and load, then runs them. Tests find it by `GOFE_BIN` and `GOFE_GUESTS`.
fn tests(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    guests::build(workspace)?;
    workspace.build_gofe()?;
    let mut command = workspace.cargo();
    if let Some(python) = setup::python()? {
        command.env("GOFE_PYTHON", python);
    }
    command.env("GOFE_BIN", workspace.gofe()).env("GOFE_GUESTS", guests::folder(workspace));
    process::run(command.args(["test", "--locked", "--workspace"]).args(arguments))
}
