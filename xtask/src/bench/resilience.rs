//! `cargo xtask bench resilience`: what clients see of endpoints that fail, with and without what gofe can do about it.

mod cost;
pub(crate) mod endpoint;
pub(super) mod load;
mod parties;
mod report;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::dist;
use crate::workspace::Workspace;
use cost::Cost;
use endpoint::Fault;
use load::{Load, Seen};
use parties::{Endpoint, Gofe};

/// Load before the fault, which is not measured.
const BEFORE: Duration = Duration::from_secs(1);

/// What to measure of failing endpoints.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The binary that is measured; by default the one that `cargo xtask dist` leaves.
    #[arg(long)]
    gofe: Option<PathBuf>,
    /// Requests a second.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Seconds of each run, from the fault on.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Only what all of it costs a request when nothing fails. Needs two processors, taskset, wrk and nginx.
    #[arg(long)]
    cost: bool,
    /// Rounds of that.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Print only, and leave docs/resilience.md and its plot as they are.
    #[arg(long)]
    no_write: bool,
}

/// What gofe does about failing endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Governance {
    Nothing,
    Breaker,
    Ejection,
    Retries,
    All,
}

impl Governance {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Breaker => "breaker",
            Self::Ejection => "ejection",
            Self::Retries => "retries",
            Self::All => "all",
        }
    }

    /// Its keys of the route and of the upstream.
    fn yaml(self) -> (String, String) {
        let breaker = "    endpoint-circuit-breaker: { consecutive-failures: 5, failure-rate: 50%, slow-call-rate: 50%, \
                       slow-call: 100ms, window: 5s, minimum-calls: 20, open-for: 1s, probes: 2 }\n";
        let ejection =
            "    outlier-detection: { consecutive-5xx: 5, base-ejection-time: 1s, max-ejection-percent: 50% }\n";
        let retries =
            "    retry: { attempts: 3, per-try-timeout: 100ms, on: [5xx], backoff: { base: 2ms, max: 20ms } }\n";
        match self {
            Self::Nothing => (String::new(), String::new()),
            Self::Breaker => (String::new(), format!("{breaker}    response-timeout: 100ms\n")),
            Self::Ejection => (String::new(), format!("{ejection}    response-timeout: 100ms\n")),
            Self::Retries => (retries.to_owned(), String::new()),
            Self::All => (retries.to_owned(), format!("{breaker}{ejection}")),
        }
    }
}

/// One run.
struct Run {
    governance: Governance,
    fault: Fault,
    seen: Seen,
    /// Requests that reached an endpoint.
    tries: u64,
}

/// Measures, prints, and writes docs/resilience.md.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let gofe = dist::named(workspace, options.gofe.as_deref())?;
    if !options.cost {
        failing(workspace, options, gofe.clone())?;
    }
    let text = Cost::measure(&gofe, options.rounds.into(), options.seconds.min(4))?.markdown();
    println!("{text}");
    if options.no_write { Ok(()) } else { write(workspace, report::COST, &text) }
}

/// Writes a measured part of docs/resilience.md.
fn write(workspace: &Workspace, part: &str, text: &str) -> Result<()> {
    let page = workspace.root.join("docs/resilience.md");
    let old = fs::read_to_string(&page)?;
    Ok(fs::write(&page, report::page(&old, part, text)?)?)
}

/// What clients see of endpoints that fail.
fn failing(workspace: &Workspace, options: &Options, gofe: PathBuf) -> Result<()> {
    let bench = Bench { gofe, rate: options.rate, length: Duration::from_secs(options.seconds) };
    let mut runs = Vec::new();
    for governance in Governance::value_variants() {
        for fault in [Fault::Healthy, Fault::Errors, Fault::Hang, Fault::Refuse, Fault::Slow] {
            eprintln!("{}: {}", governance.name(), fault.name());
            runs.push(bench.one_of_three(*governance, fault)?);
        }
    }
    eprintln!("all endpoints fail");
    let storm = bench.storm()?;
    eprintln!("endpoints are restarted and killed");
    let restarts = bench.restarts()?;
    let text = report::markdown(&runs, &storm, &restarts, options.rate, options.seconds);
    println!("{text}");
    if !options.no_write {
        write(workspace, report::FAILING, &text)?;
        fs::write(workspace.root.join("docs/resilience.svg"), report::svg(&runs))?;
    }
    Ok(())
}

struct Bench {
    gofe: PathBuf,
    rate: u32,
    length: Duration,
}

impl Bench {
    /// Three endpoints, one of which fails.
    fn one_of_three(&self, governance: Governance, fault: Fault) -> Result<Run> {
        let mut endpoints = start_three()?;
        let gofe = Gofe::start(&self.gofe, &addresses(&endpoints), &governance.yaml())?;
        let load = Load::start(gofe.address, self.rate, BEFORE, self.length);
        std::thread::sleep(BEFORE);
        let before: u64 = counts(&mut endpoints)?.iter().sum();
        endpoints[0].set(fault)?;
        let seen = load.end();
        endpoints[0].set(Fault::Healthy)?;
        let tries = counts(&mut endpoints)?.iter().sum::<u64>() - before;
        Ok(Run { governance, fault, seen, tries })
    }

    /// Three endpoints, all of which answer with errors.
    fn storm(&self) -> Result<Run> {
        let mut endpoints = start_three()?;
        for endpoint in &mut endpoints {
            endpoint.set(Fault::Errors)?;
        }
        let governance = Governance::Retries;
        let gofe = Gofe::start(&self.gofe, &addresses(&endpoints), &governance.yaml())?;
        let seen = Load::start(gofe.address, self.rate, Duration::ZERO, self.length).end();
        let tries = counts(&mut endpoints)?.iter().sum();
        Ok(Run { governance, fault: Fault::Errors, seen, tries })
    }

    /// Each endpoint is restarted, and then one is killed and comes back.
    fn restarts(&self) -> Result<Run> {
        let mut endpoints = start_three()?;
        let governance = Governance::All;
        let gofe = Gofe::start(&self.gofe, &addresses(&endpoints), &governance.yaml())?;
        let load = Load::start(gofe.address, self.rate, Duration::ZERO, self.length);
        let pause = self.length / 8;
        for at in [0, 1, 2, 0] {
            std::thread::sleep(pause);
            let address = endpoints[at].address;
            endpoints[at].kill()?;
            std::thread::sleep(pause / 2);
            endpoints[at] = Endpoint::start(address)?;
        }
        let seen = load.end();
        Ok(Run { governance, fault: Fault::Refuse, seen, tries: 0 })
    }
}

fn start_three() -> Result<Vec<Endpoint>> {
    let any = "127.0.0.1:0".parse()?;
    (0..3).map(|_| Endpoint::start(any)).collect()
}

fn addresses(endpoints: &[Endpoint]) -> Vec<String> {
    endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect()
}

fn counts(endpoints: &mut [Endpoint]) -> Result<Vec<u64>> {
    endpoints.iter_mut().map(Endpoint::count).collect()
}
