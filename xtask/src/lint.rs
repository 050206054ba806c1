//! `cargo xtask lint`: what can be found wrong without running anything.

mod house;
mod layers;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::process;
use crate::setup;
use crate::steps::{Outcome, Steps};
use crate::workspace::{WASI, WASM, Workspace};

/// Runs every lint as a step.
pub(crate) fn steps(workspace: &Workspace, steps: &mut Steps) {
    steps.run("fmt", "cargo fmt --all --check", || {
        done(process::run(workspace.cargo().args(["fmt", "--all", "--check"])))
    });
    let clippy = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
    steps.run("clippy", format!("cargo {}", clippy.join(" ")), || done(process::run(workspace.cargo().args(clippy))));
    steps.run("clippy for wasm", "cargo xtask lint", || done(wasm_clippy(workspace)));
    steps.run("cargo-deny", "cargo deny check licenses bans sources", || cargo_deny(workspace));
    steps.run("house rules", "cargo xtask lint --house", || done(report(house::check(workspace)?)));
    steps.run("layers", "cargo xtask lint --house", || done(report(layers::check(workspace)?)));
}

/// Only the rules of the house, which need no compiler.
pub(crate) fn house_steps(workspace: &Workspace, steps: &mut Steps) {
    steps.run("house rules", "cargo xtask lint --house", || done(report(house::check(workspace)?)));
    steps.run("layers", "cargo xtask lint --house", || done(report(layers::check(workspace)?)));
}

/// One place where a rule is broken.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// The file, relative to the root.
    file: PathBuf,
    /// The line, counted from 1.
    line: usize,
    /// What is wrong.
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

/// The line of a byte in a text, counted from 1.
fn line_at(text: &str, byte: usize) -> usize {
    text[..byte].matches('\n').count() + 1
}

fn done(result: Result<()>) -> Result<Outcome> {
    result.map(|()| Outcome::Done)
}

fn report(mut findings: Vec<Finding>) -> Result<()> {
    findings.sort();
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => bail!("1 place breaks a rule"),
        count => bail!("{count} places break a rule"),
    }
}

/// Plugins, examples, guests and the benchmark's filters once more for the target that they run on: the code behind `cfg(target_arch)` is not there
/// in the other run.
fn wasm_clippy(workspace: &Workspace) -> Result<()> {
    setup::targets(workspace)?;
    for target in [WASM, WASI] {
        let modules = ["plugins", "examples/plugins", "tests/guests", "benches/plugins"]
            .map(|folder| workspace.modules_in(folder))
            .concat();
        let names: Vec<_> = modules.iter().filter(|package| package.wasm_target == target).map(|p| &p.name).collect();
        if names.is_empty() {
            continue;
        }
        let mut command = workspace.cargo();
        command.args(["clippy", "--locked", "--lib", "--target", target]);
        command.args(names.into_iter().flat_map(|name| ["--package", name]));
        process::run(command.args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// Licences, bans and sources. The advisories are left out: their database is in the network.
fn cargo_deny(workspace: &Workspace) -> Result<Outcome> {
    if !setup::has_cargo_deny(workspace) {
        return Ok(Outcome::Skipped("cargo-deny is not installed; `cargo xtask setup` installs it".into()));
    }
    done(process::run(workspace.cargo().args(["deny", "check", "licenses", "bans", "sources"])))
}
