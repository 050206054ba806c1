//! `cargo xtask bench`: measurements.

mod hold;
pub(crate) mod instructions;
mod peers;
mod resilience;
pub(crate) mod swap;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::process;
use crate::wasm::Builder;
use crate::workspace::Workspace;

/// The package with the microbenchmarks.
const PACKAGE: &str = "gofe-benches";
/// The package of the plugin that does one kind of work.
const WORK: &str = "bench-work";

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// The microbenchmarks of the package gofe-benches.
    Micro {
        /// Passed to the benchmarks, for example a filter.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Count the instructions of requests and of plugins' work, and compare them with benches/instructions.json.
    Instructions(instructions::Options),
    /// Idle connections, slow streams, and what other clients see of a rapid reset and of slow-loris. Needs Linux.
    Hold(hold::Options),
    /// gofe beside nginx, HAProxy, Envoy, Traefik and Caddy, which are installed when missing. Needs Linux.
    Peers(peers::Options),
    /// What clients see of endpoints that fail, with and without what gofe can do about it.
    Resilience(resilience::Options),
    #[command(hide = true)]
    Endpoint(resilience::endpoint::Options),
    /// Swaps of a plugin under load, and starts. Needs two CPUs, taskset, h2load and nginx.
    Swap(swap::Options),
}

/// Runs a measurement.
pub(crate) fn run(workspace: &Workspace, what: &Bench) -> Result<()> {
    match what {
        Bench::Micro { arguments } => {
            let work = work(workspace)?;
            let mut command = workspace.cargo();
            command.env("GOFE_BENCH_WORK", work).args(["bench", "--locked", "--package", PACKAGE, "--"]);
            process::run(command.args(arguments))
        }
        Bench::Instructions(options) => instructions::run(workspace, options).map(|outcome| outcome.tell()),
        Bench::Hold(options) => hold::run(workspace, options),
        Bench::Peers(options) => peers::run(workspace, options),
        Bench::Resilience(options) => resilience::run(workspace, options),
        Bench::Endpoint(options) => resilience::endpoint::run(options),
        Bench::Swap(options) => swap::run(workspace, options),
    }
}

/// Builds the plugin that does one kind of work and returns its path.
fn work(workspace: &Workspace) -> Result<PathBuf> {
    let package = workspace.package(WORK);
    Builder::new(workspace)?.build(package.with_context(|| format!("the workspace has no package {WORK}"))?)
}

/// Builds the benchmark's filter in an ABI, a folder of benches/plugins, as it is released, and returns its path.
pub(crate) fn filter(workspace: &Workspace, abi: &str) -> Result<PathBuf> {
    let package = workspace.modules_in("benches/plugins").into_iter().find(|package| package.short_name() == abi);
    let package = package.with_context(|| format!("there is no benches/plugins/{abi}"))?;
    Builder::new(workspace)?.build_with(package, "dist")
}
