//! `cargo xtask bench`: measurements.

mod swap;

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
    /// Swaps of a plugin under load, and starts. Needs two CPUs, taskset, h2load and nginx.
    Swap(swap::Options),
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
        Bench::Swap(options) => swap::run(workspace, options),
    }
}
