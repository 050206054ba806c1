//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app;

/// An edge proxy that people program with WebAssembly.
#[derive(Debug, Parser)]
#[command(name = "gofe", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a configuration. SIGHUP reads it again, SIGTERM ends after the requests in progress.
    Run {
        /// The YAML file.
        file: PathBuf,
    },
    /// Find every mistake in a configuration, also those that its plugins find, without serving it.
    Check {
        /// The YAML file.
        file: PathBuf,
    },
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run { file } => app::run(&file),
        Command::Check { file } => app::check(&file).map(|warnings| {
            for warning in warnings {
                eprintln!("{warning}");
            }
            println!("{}: no mistakes", file.display());
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
