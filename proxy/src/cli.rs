//! The command line.

use std::io::Write;
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
    /// About plugins.
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Find every mistake in a configuration, also those that its plugins find, without serving it.
    Check {
        /// The YAML file.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Say what is in a plugin's file: its ABI and version, phases, imports, memory, size, toolchain and digest.
    Inspect {
        /// The WASM file.
        file: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Plugin { command: PluginCommand::Inspect { file, json } } => {
            // Who reads only the beginning closes the pipe.
            app::inspect(&file, json).map(|report| drop(writeln!(std::io::stdout(), "{report}")))
        }
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
