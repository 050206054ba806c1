//! `cargo xtask bench peers`: gofe and the proxies that its users would pick instead, side by side.
//!
//! The figure to trust is CPU time for each request, as the kernel counts it: it does not move when the load
//! generator is the bottleneck, and a ratio of two of them, taken in one run, survives a noisy machine.

mod config;
mod contest;
pub(super) mod install;
mod interrupt;
mod load;
mod machine;
mod memory;
mod probe;
mod process;
pub(super) mod report;
mod scenario;
mod subject;
pub(super) mod usage;
mod versions;

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::contest::Contest;
use self::interrupt::Interrupt;
use self::load::Load;
use self::machine::Machine;
use self::report::{Measured, Report};
use self::scenario::Scenario;
use self::subject::{Product, Subject};
use crate::workspace::Workspace;

/// The processor of the subjects, that of everything else, and both, as taskset takes them.
pub(super) const PROXY_CPU: &str = "0";
const LOAD_CPU: &str = "1";
const BOTH_CPUS: &str = "0,1";
/// How much of the proxy's processor may go to others before the figures are doubtful.
const QUIET_PERCENT: f64 = 5.0;

/// What to measure, and how.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which subjects; all when none is named.
    subjects: Vec<Subject>,
    /// Which scenarios, each with its own option; all when none is named.
    #[arg(long)]
    scenario: Vec<Scenario>,
    /// How often each subject has its turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long a turn lasts.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Connections: 64, and 1,500 idle ones, when not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=7000))]
    connections: Option<u32>,
    /// Requests a second in the scenario latency.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(32..=1_000_000))]
    rate: u32,
    /// This gofe in the place of the one that `cargo xtask dist` leaves.
    #[arg(long, value_name = "PATH")]
    gofe: Option<PathBuf>,
    /// Write docs/benchmark.json, .md and .svg. Scenarios that were not measured now stay in them as they are.
    #[arg(long)]
    write: bool,
}

impl Options {
    fn scenarios(&self) -> Vec<Scenario> {
        if self.scenario.is_empty() { Scenario::value_variants().to_vec() } else { self.scenario.clone() }
    }

    fn subjects(&self, scenario: Scenario) -> Vec<Subject> {
        if self.subjects.is_empty() { scenario.subjects() } else { self.subjects.clone() }
    }

    fn products(&self) -> Vec<Product> {
        let subjects = self.scenarios().into_iter().flat_map(|scenario| self.subjects(scenario));
        let mut products = Vec::new();
        for product in subjects.map(Subject::product) {
            if !products.contains(&product) {
                products.push(product);
            }
        }
        products
    }

    /// The command that measures one scenario again. A path is of this machine only, so it is left out.
    fn command(&self, scenario: Scenario) -> String {
        let mut command = "cargo xtask bench peers".to_owned();
        for subject in &self.subjects {
            command += &format!(" {}", subject.name());
        }
        command += &format!(" --scenario {} --rounds {} --seconds {}", scenario.name(), self.rounds, self.seconds);
        if let Some(connections) = self.connections {
            command += &format!(" --connections {connections}");
        }
        if scenario == Scenario::Latency {
            command += &format!(" --rate {}", self.rate);
        }
        if self.gofe.is_some() {
            command += " --gofe PATH";
        }
        command
    }
}

/// Installs, measures, prints, and writes when asked to.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "the measurements read /proc and pin processes: they need Linux");
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    ensure!(cpus >= 2, "the measurements need two processors: one for the proxy, one for the load");
    let folder = tempfile::Builder::new().prefix("gofe-bench-").tempdir().context("a temporary folder")?;
    let products = options.products();
    let scenarios = options.scenarios();
    let parts = install::ensure(workspace, &products, options.gofe.as_deref(), &scenarios, folder.path())?;
    let versions = versions::of(workspace, &parts, &products);
    let interrupt = Interrupt::listen()?;
    let contest = Contest {
        parts: &parts,
        folder: folder.path().to_owned(),
        load: Load { seconds: options.seconds, connections: options.connections.unwrap_or(64), rate: options.rate },
        rounds: usize::try_from(options.rounds)?,
        idle: usize::try_from(options.connections.unwrap_or(1500))?,
        interrupt: &interrupt,
    };
    prepare()?;
    let mut all = Vec::new();
    for scenario in scenarios {
        eprintln!("\n== {}", scenario.name());
        let mut measured = Measured {
            scenario: scenario.name(),
            date: machine::today(),
            command: options.command(scenario),
            machine: Machine::here(),
            versions: versions.clone(),
            rows: contest.run(scenario, &options.subjects(scenario))?,
        };
        measured.add_speedups();
        print(scenario, &measured);
        all.push(measured);
    }
    if options.write {
        Report::write(workspace, &all)?;
    }
    finish(&all)
}

/// Lets this process, and all that it starts, have many connections; and keeps it off the subjects' processor.
pub(super) fn prepare() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).context("the limit of open files")?;
    let mut taskset = Command::new("taskset");
    crate::process::output(taskset.args(["-pc", LOAD_CPU]).arg(std::process::id().to_string())).map(drop)
}

fn print(scenario: Scenario, measured: &Measured) {
    println!("\n{}: {}\n{}", scenario.title(), measured.command, report::table(measured).text());
    let added = report::marginal(measured);
    if scenario == Scenario::Throughput && !added.is_empty() {
        println!("What one filter adds\n{}", added.text());
    }
    if let Some(percent) = measured.others_percent().filter(|percent| *percent > QUIET_PERCENT) {
        println!(
            "Not a quiet machine: other work took {percent:.0} % of the proxy's processor in one of the rounds.\n"
        );
    }
    for row in &measured.rows {
        if let Some(reason) = row.error.as_ref().or(row.not_supported.as_ref()) {
            println!("{}: {reason}\n", row.label());
        }
    }
}

/// Fails when a row is an error, and names it.
fn finish(all: &[Measured]) -> Result<()> {
    let wrong = all.iter().flat_map(|measured| {
        let rows = measured.rows.iter().filter(|row| row.error.is_some());
        rows.map(|row| format!("{} ({})", row.label(), measured.scenario))
    });
    let wrong: Vec<_> = wrong.collect();
    if !wrong.is_empty() {
        bail!("no figures for {}", wrong.join(", "));
    }
    Ok(())
}
