//! `cargo xtask fuzz`: libFuzzer with each target of the package gofe-fuzz, for so many seconds.
//!
//! Dependencies are those of the tests, as they were built; only gofe itself and its targets are compiled once more, with
//! counters that tell libFuzzer which code an input reaches. This program is the compiler's wrapper for that.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::steps::Outcome;
use crate::workspace::Workspace;
use crate::{process, setup};

/// Set where cargo runs this program in the place of the compiler.
const WRAPPER: &str = "GOFE_FUZZ_COMPILER";
/// The crates that get counters.
const COUNTED: [&str; 2] = ["gofe", "gofe_fuzz"];
/// What makes LLVM put counters into a crate, and show libFuzzer what is compared.
const COUNTERS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// How each search is bounded: seconds for one input, MiB of memory, bytes of an input.
const BOUNDS: [&str; 3] = ["-timeout=20", "-rss_limit_mb=4096", "-max_len=8192"];
/// How many lines of a search that failed are shown.
const SHOWN: usize = 40;

/// What is searched, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long each target is fed.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Only these targets: the folders in fuzz/inputs.
    targets: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: 60, targets: Vec::new() }
    }
}

/// Where cargo runs this program as the compiler's wrapper, how the compiler ended.
pub(crate) fn compile() -> Option<Result<ExitCode>> {
    env::var_os(WRAPPER)?;
    Some(run_compiler(&env::args_os().skip(1).collect::<Vec<_>>()))
}

fn run_compiler(arguments: &[OsString]) -> Result<ExitCode> {
    let (compiler, arguments) = arguments.split_first().context("cargo names the compiler")?;
    let name = arguments.iter().position(|argument| argument == "--crate-name").and_then(|at| arguments.get(at + 1));
    let library = arguments.iter().any(|argument| argument == "lib");
    let mut command = Command::new(compiler);
    command.args(arguments).env_remove(WRAPPER);
    if library && name.is_some_and(|name| COUNTED.iter().any(|counted| name == counted)) {
        command.args(COUNTERS);
    }
    let status = command.status().context("the compiler could not be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds the targets and feeds them, as many at a time as there are processors.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Outcome> {
    if !setup::cpp()? {
        return Ok(Outcome::Skipped("libFuzzer needs a C++ compiler: install the package `g++` of your system".into()));
    }
    let targets = targets(workspace, &options.targets)?;
    build(workspace)?;
    let searches: Vec<_> = targets.into_iter().map(|name| Search::new(workspace, name, options.seconds)).collect();
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    let mut failed = Vec::new();
    for group in searches.chunks(at_once) {
        let running = group.iter().map(|search| Ok((search, search.start()?))).collect::<Result<Vec<_>>>()?;
        for (search, mut child) in running {
            let status = child.wait().with_context(|| format!("the search in {}", search.name))?;
            if !search.tell(status.success())? {
                failed.push(search.name.clone());
            }
        }
    }
    ensure!(failed.is_empty(), "broken by an input: {}", failed.join(", "));
    Ok(Outcome::Done)
}

/// The targets that are asked for: each has a folder with inputs.
fn targets(workspace: &Workspace, wanted: &[String]) -> Result<Vec<String>> {
    let folder = workspace.root.join("fuzz/inputs");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut all =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<Vec<_>>>()?;
    all.sort();
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        bail!("there is no target `{unknown}`; there are {}", all.join(", "));
    }
    all.retain(|name| wanted.is_empty() || wanted.contains(name));
    Ok(all)
}

/// Builds the targets. Of the same packages as the tests and with a test among them, so that dependencies have the features
/// with which they are there already.
fn build(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["build", "--locked", "--workspace", "--features", "gofe-fuzz/libfuzzer"]);
    command.args(["--bin", "fuzz", "--test", "inputs"]);
    let wrapper = env::current_exe().context("the path of xtask")?;
    process::run(command.env("RUSTC_WORKSPACE_WRAPPER", wrapper).env(WRAPPER, "yes"))
}

/// A search for an input that breaks a target.
struct Search {
    name: String,
    program: PathBuf,
    /// Inputs that are kept in the repository.
    known: PathBuf,
    /// Those that were found, here and in earlier searches.
    found: PathBuf,
    /// What breaks the target.
    broken: PathBuf,
    log: PathBuf,
    seconds: u32,
}

impl Search {
    fn new(workspace: &Workspace, name: String, seconds: u32) -> Self {
        let folder = workspace.target.join("fuzz").join(&name);
        let program = workspace.target.join("debug").join(format!("fuzz{}", env::consts::EXE_SUFFIX));
        let known = workspace.root.join("fuzz/inputs").join(&name);
        let [found, broken, log] = ["found", "broken", "log"].map(|file| folder.join(file));
        Self { name, program, known, found, broken, log, seconds }
    }

    fn start(&self) -> Result<std::process::Child> {
        fs::create_dir_all(&self.found)?;
        fs::create_dir_all(&self.broken)?;
        let log = File::create(&self.log)?;
        let mut command = Command::new(&self.program);
        command.env("GOFE_FUZZ_TARGET", &self.name).env("RUST_BACKTRACE", "1");
        command.args(BOUNDS).arg("-print_final_stats=1").arg(format!("-max_total_time={}", self.seconds));
        command.arg(format!("-artifact_prefix={}/", self.broken.display())).args([&self.found, &self.known]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().with_context(|| format!("{} could not be started", self.program.display()))
    }

    /// Says what came of it.
    fn tell(&self, well: bool) -> Result<bool> {
        let text = fs::read(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        let text = String::from_utf8_lossy(&text);
        if well {
            eprintln!("{:<14} {}", self.name, summary(&text));
            return Ok(true);
        }
        let lines: Vec<_> = text.lines().collect();
        eprintln!("{}", lines[lines.len().saturating_sub(SHOWN)..].join("\n"));
        let (kept, broken) = (relative(&self.known), self.broken.display());
        eprintln!(
            "{}: an input breaks it. Move it from {broken} to {kept}, where the test of gofe-fuzz runs it.",
            self.name
        );
        Ok(false)
    }
}

/// The last two folders of a path.
fn relative(folder: &Path) -> String {
    let names: Vec<_> = folder.iter().rev().take(3).map(|name| name.to_string_lossy()).collect();
    names.into_iter().rev().collect::<Vec<_>>().join("/")
}

/// How many inputs were tried, and how much code they reached.
fn summary(log: &str) -> String {
    let number =
        |label: &str| log.lines().rev().find_map(|line| line.strip_prefix(label)).unwrap_or("0").trim().to_owned();
    let reached = log.lines().rev().find_map(|line| line.split_once(" cov: ")?.1.split(' ').next());
    format!(
        "{} inputs, {} a second, {} places in the code reached",
        number("stat::number_of_executed_units:"),
        number("stat::average_exec_per_sec:"),
        reached.unwrap_or("0")
    )
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn the_summary_has_what_libfuzzer_says_last() {
        let log = "#2 INITED cov: 10 ft: 11 corp: 1/1b\n#9 DONE   cov: 42 ft: 51 corp: 3/9b lim: 4\n\
                   stat::number_of_executed_units: 9\nstat::average_exec_per_sec:     3\n";
        assert_eq!(summary(log), "9 inputs, 3 a second, 42 places in the code reached");
    }
}
