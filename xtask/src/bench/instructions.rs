//! `cargo xtask bench instructions`: what a request and a plugin's work cost in instructions, compared with a baseline.
//!
//! Instructions are counted by valgrind's callgrind, so the figures do not depend on what else the machine does, and
//! hardly on the machine. gofe serves a few requests in one run and 500 more in another; the difference has no
//! start-up in it.

mod baseline;
mod profile;
mod scenario;
mod subject;
mod traffic;

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::steps::Outcome;
use crate::workspace::Workspace;
use crate::{process, setup};
use baseline::{Baseline, Measured};
use profile::Profile;
use scenario::{Modules, Scenario, scenarios};
use subject::Subject;

/// What makes the figures of this run the baseline.
const ACCEPT: &str = "cargo xtask bench instructions --accept";
/// How many requests the shorter run has: enough for every first time to be over.
const FIRST: u64 = 50;
/// How many more the longer run has.
const MORE: u64 = 500;

/// How the instructions are counted and shown.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// Make the figures the baseline.
    #[arg(long)]
    accept: bool,
    /// Show so many functions of each scenario, those with the most instructions first.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    functions: usize,
    /// Only the scenarios whose names contain one of these.
    filters: Vec<String>,
}

/// Counts, and shows or keeps the figures. Fails where a figure grew too much.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Outcome> {
    if !setup::valgrind()? {
        let why = "valgrind is not installed; as root, `cargo xtask setup` installs it, or take your system's package";
        return Ok(Outcome::Skipped(why.into()));
    }
    let mut baseline = Baseline::read(workspace)?;
    if !options.accept && !baseline.knows(ARCH) {
        return Ok(Outcome::Skipped(format!("the baseline has no figures for {ARCH}; `{ACCEPT}` adds them")));
    }
    let wanted = wanted(&options.filters)?;
    let measured = measure(&subject(workspace)?, &wanted)?;
    for (name, figures) in measured.iter().filter(|_| options.functions > 0) {
        eprintln!("\n{name}: {} instructions", figures.instructions);
        figures.top(options.functions).into_iter().for_each(|(name, count)| eprintln!("{count:>10}  {name}"));
    }
    let tools = tools()?;
    if options.accept {
        baseline.accept(ARCH, tools, measured, options.filters.is_empty());
        return baseline.write(workspace).map(|()| Outcome::Done);
    }
    let report = baseline.compare(ARCH, &tools, &measured, options.filters.is_empty());
    eprintln!("\n{}", report.table);
    match report.problems.is_empty() {
        true => Ok(Outcome::Done),
        false => bail!("{}\nIf that is the price of what was gained: `{ACCEPT}`", report.problems.join("\n")),
    }
}

fn wanted(filters: &[String]) -> Result<Vec<Scenario>> {
    let takes =
        |scenario: &Scenario| filters.is_empty() || filters.iter().any(|filter| scenario.name.contains(&**filter));
    let wanted: Vec<_> = scenarios().into_iter().filter(takes).collect();
    if wanted.is_empty() {
        let names: Vec<_> = scenarios().iter().map(|scenario| scenario.name).collect();
        bail!("no scenario has such a name; there are: {}", names.join(", "));
    }
    Ok(wanted)
}

/// Builds what is measured: gofe as it is released, and the plugins of the scenarios.
fn subject(workspace: &Workspace) -> Result<Subject> {
    process::run(workspace.cargo().args(["build", "--locked", "--release", "--package", "gofe", "--bin", "gofe"]))?;
    let modules = Modules {
        work: super::work(workspace)?,
        proxy_wasm: super::filter(workspace, "proxy-wasm")?,
        http_wasm: super::filter(workspace, "http-wasm")?,
    };
    let folder = workspace.target.join("instructions");
    fs::create_dir_all(&folder)?;
    Ok(Subject { program: workspace.target.join("release/gofe"), modules, folder })
}

/// The figures of each scenario, in the order of the scenarios.
fn measure(subject: &Subject, wanted: &[Scenario]) -> Result<Vec<(String, Measured)>> {
    let upstream = traffic::upstream()?;
    subject.warm(upstream)?;
    let mut profiles: BTreeMap<&str, Profile> = BTreeMap::new();
    let mut measured = Vec::new();
    for scenario in wanted {
        let mut own = request(subject, scenario, upstream, &mut profiles)?;
        if let Some(name) = scenario.over {
            let all = scenarios();
            let other = all.iter().find(|other| other.name == name);
            let other = other.with_context(|| format!("there is no scenario `{name}`"))?;
            own = own.minus(&request(subject, other, upstream, &mut profiles)?);
        }
        measured.push((scenario.name.to_owned(), Measured::new(&own, MORE * scenario.share)));
        eprintln!("{:>10}  {}", measured[measured.len() - 1].1.instructions, scenario.name);
    }
    Ok(measured)
}

/// What [`MORE`] requests of a scenario cost on the worker that serves them, counted once. The other threads run by
/// the time that passes, and not by what the requests do.
fn request(
    subject: &Subject,
    scenario: &Scenario,
    upstream: std::net::SocketAddr,
    known: &mut BTreeMap<&'static str, Profile>,
) -> Result<Profile> {
    if let Some(profile) = known.get(scenario.name) {
        return Ok(profile.clone());
    }
    let count = |requests| subject.count(scenario, upstream, requests);
    let profile = profile::worker_growth(&count(FIRST)?, &count(FIRST + MORE)?)?;
    known.insert(scenario.name, profile.clone());
    Ok(profile)
}

/// What the figures depend on besides gofe.
fn tools() -> Result<BTreeMap<String, String>> {
    let version = |program: &str| -> Result<(String, String)> {
        let text = process::output(Command::new(program).arg("--version"))?;
        Ok((program.to_owned(), text.trim().to_owned()))
    };
    Ok(BTreeMap::from([version("rustc")?, version("valgrind")?]))
}
