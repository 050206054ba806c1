//! `cargo xtask`: the developer's commands of gofe. CI calls `cargo xtask test` and nothing else.

mod bench;
mod conformance;
mod coverage;
mod dist;
mod docs;
mod fuzz;
mod guests;
mod lint;
mod plugins;
mod process;
mod setup;
mod source;
mod steps;
mod suite;
mod wasm;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::steps::Steps;
use crate::workspace::Workspace;

/// The developer's commands of gofe.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Get what is needed, then run every lint, check and test.
    Test {
        /// Only this part.
        #[arg(long)]
        only: Option<suite::Part>,
        /// Passed to `cargo test`, for example a filter.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Formatting, clippy (also for WASM), licences, the rules of the house.
    Lint {
        /// Only the rules of the house, which need no compiler.
        #[arg(long)]
        house: bool,
    },
    /// Build the standard plugins into plugins/dist.
    Plugins {
        /// Only find out whether plugins/dist is what the sources give.
        #[arg(long)]
        check: bool,
    },
    /// Build the plugins that only tests load into target/guests.
    Guests,
    /// Make the certificates that examples/tls.yaml names, in examples/certificates.
    Certificates,
    /// Write the tables of docs that say what every function of an ABI is tested by, from what the tests say.
    Coverage,
    /// Check links, paths, commands and configurations in the pages and examples.
    CheckDocs,
    /// Measure.
    Bench {
        #[command(subcommand)]
        what: bench::Bench,
    },
    /// Build gofe as it is shipped, optimised by what it does in a training run.
    Dist,
    /// Run the suites of others against gofe, or one of them.
    Conformance {
        /// Only this suite.
        suite: Option<conformance::Suite>,
    },
    /// Search for inputs that break what reads strangers' bytes, in every fuzz target or in some.
    Fuzz(fuzz::Options),
    /// Install what the other commands use: WASM targets, clippy, rustfmt, curl, a C++ compiler, valgrind, cargo-deny.
    Setup,
}

fn main() -> ExitCode {
    if let Some(compiled) = fuzz::compile() {
        return compiled.unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        });
    }
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let workspace = Workspace::load()?;
    match cli.command {
        Task::Test { only, arguments } => suite::run(&workspace, only, &arguments),
        Task::Lint { house } => {
            let mut steps = Steps::default();
            if house {
                lint::house_steps(&workspace, &mut steps);
            } else {
                setup::components(&workspace)?;
                lint::steps(&workspace, &mut steps);
            }
            steps.finish()
        }
        Task::Plugins { check } => {
            let outcome = if check { plugins::check(&workspace)? } else { plugins::update(&workspace)? };
            outcome.tell();
            Ok(())
        }
        Task::Guests => guests::build(&workspace),
        Task::Certificates => docs::certificates(&workspace),
        Task::Coverage => coverage::write(&workspace),
        Task::CheckDocs => docs::check(&workspace),
        Task::Bench { what } => bench::run(&workspace, &what),
        Task::Dist => dist::run(&workspace),
        Task::Conformance { suite } => conformance::run(&workspace, suite),
        Task::Fuzz(options) => fuzz::run(&workspace, &options).map(|outcome| outcome.tell()),
        Task::Setup => setup::all(&workspace),
    }
}
