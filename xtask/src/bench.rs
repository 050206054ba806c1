//! `cargo xtask bench`: measurements.

pub(crate) mod instructions;
mod peers;

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::process;
use crate::workspace::Workspace;

/// The package with the microbenchmarks.
const PACKAGE: &str = "gofe-benches";

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
    /// gofe beside nginx, HAProxy, Envoy, Traefik and Caddy, which are installed when missing. Needs Linux.
    Peers(peers::Options),
}

/// Runs a measurement.
pub(crate) fn run(workspace: &Workspace, what: &Bench) -> Result<()> {
    match what {
        Bench::Micro { arguments } => {
            if !workspace.has(PACKAGE) {
                bail!("the workspace has no package {PACKAGE}");
            }
            process::run(workspace.cargo().args(["bench", "--locked", "--package", PACKAGE, "--"]).args(arguments))
        }
        Bench::Instructions(options) => instructions::run(workspace, options).map(|outcome| outcome.tell()),
        Bench::Peers(options) => peers::run(workspace, options),
    }
}
