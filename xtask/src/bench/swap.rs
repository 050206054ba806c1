//! `cargo xtask bench swap`: what a swap of a plugin under load costs, and how long a start takes.

mod load;
pub(crate) mod parties;
mod report;
mod versions;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::workspace::{Workspace, emptied};
use crate::{dist, guests};
use load::{Answered, Load};
use parties::{Client, Gofe, Upstream};
pub(crate) use versions::Change;

/// From one swap to the next. The first half of it is compared with the second.
const GAP: Duration = Duration::from_secs(1);
/// Load without swaps at the beginning.
const BEFORE: Duration = Duration::from_secs(2);
/// How many starts of each kind.
const STARTS: usize = 10;
/// How long the new code may take to answer before the run is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to measure of the swap.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The binary that is measured; by default the one that `cargo xtask dist` leaves.
    #[arg(long)]
    gofe: Option<PathBuf>,
    /// Swaps in each run, one a second.
    #[arg(long, default_value_t = 50)]
    swaps: u32,
    /// Requests a second in the open loop.
    #[arg(long, default_value_t = 5000)]
    rate: u32,
    /// Only this kind of load.
    #[arg(long = "load")]
    load: Vec<Kind>,
    /// Only on these CPUs.
    #[arg(long)]
    cpus: Vec<Cpus>,
    /// Only this kind of new version.
    #[arg(long)]
    change: Vec<Change>,
    /// No start times.
    #[arg(long)]
    no_starts: bool,
}

/// A way of putting load on gofe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// So many requests a second, whatever the answers take.
    Open,
    /// Each of 32 connections sends its next request when it has the answer.
    Closed,
}

/// Where gofe runs. Load and upstream have CPU 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cpus {
    /// On CPU 0 alone: the compiler takes the worker's time.
    One,
    /// On CPU 0 and 1: the compiler takes the load generator's time too.
    Two,
}

/// One run: its setting and what came out.
struct Run {
    load: Kind,
    cpus: Cpus,
    change: Change,
    /// File written → first answer by the new code.
    swaps: Vec<Duration>,
    /// The half seconds that begin with a swap.
    during: Vec<Half>,
    /// The half seconds after those.
    without: Vec<Half>,
    failed: usize,
}

/// What was answered in half a second.
struct Half {
    /// In microseconds.
    latencies: Vec<u32>,
}

/// Measures and prints.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let bench = Bench::new(workspace, options)?;
    let starts = if options.no_starts { None } else { Some((bench.starts(true)?, bench.starts(false)?)) };
    let mut runs = Vec::new();
    for cpus in chosen(&options.cpus) {
        for load in chosen(&options.load) {
            for change in chosen(&options.change) {
                eprintln!("{} swaps: load {load:?}, CPUs {cpus:?}, {change:?}", options.swaps);
                runs.push(bench.swaps(load, cpus, change)?);
            }
        }
    }
    print!("{}", report::markdown(&runs, starts.as_ref(), options));
    Ok(())
}

fn chosen<T: ValueEnum + Clone>(given: &[T]) -> Vec<T> {
    if given.is_empty() { T::value_variants().to_vec() } else { given.to_vec() }
}

struct Bench<'a> {
    options: &'a Options,
    gofe: PathBuf,
    folder: PathBuf,
    module: Vec<u8>,
    upstream: Upstream,
}

impl<'a> Bench<'a> {
    fn new(workspace: &Workspace, options: &'a Options) -> Result<Self> {
        let gofe = dist::named(workspace, options.gofe.as_deref())?;
        let guest = guests::folder(workspace).join("version.wasm");
        if !guest.exists() {
            guests::build(workspace)?;
        }
        let folder = workspace.target.join("bench-swap");
        fs::create_dir_all(&folder)?;
        let upstream = Upstream::start(&folder)?;
        let module = fs::read(&guest).with_context(|| guest.display().to_string())?;
        Ok(Self { options, gofe, folder, module, upstream })
    }

    /// Puts a version of the plugin in its place, as a deployment does: by renaming.
    fn place(&self, change: Change, number: u32) -> Result<()> {
        let next = self.folder.join("v.wasm.next");
        fs::write(&next, versions::make(&self.module, change, number)?)?;
        fs::rename(next, self.folder.join("v.wasm"))?;
        Ok(())
    }

    fn start(&self, cpus: Cpus) -> Result<Gofe> {
        Gofe::start(&self.gofe, &self.folder, self.upstream.address, matches!(cpus, Cpus::One))
    }

    fn forget_compiled_code(&self) -> Result<()> {
        emptied(&self.folder.join("cache"))
    }

    /// From the start of the process to its first answer.
    fn starts(&self, cold: bool) -> Result<Vec<Duration>> {
        self.forget_compiled_code()?;
        self.place(Change::Data, 0)?;
        if !cold {
            drop(self.start(Cpus::Two)?);
        }
        let start = |_| {
            if cold {
                self.forget_compiled_code()?;
            }
            let began = Instant::now();
            let gofe = self.start(Cpus::Two)?;
            let took = began.elapsed();
            drop(gofe);
            Ok(took)
        };
        (0..STARTS).map(start).collect()
    }

    fn swaps(&self, load: Kind, cpus: Cpus, change: Change) -> Result<Run> {
        self.forget_compiled_code()?;
        self.place(change, 0)?;
        let gofe = self.start(cpus)?;
        let mut client = Client::connect(gofe.address)?;
        let duration = BEFORE + GAP * (self.options.swaps + 1);
        let rate = (load == Kind::Open).then_some(self.options.rate);
        let load_running = Load::start(&self.folder, gofe.address, rate, duration)?;
        std::thread::sleep(BEFORE);
        let (mut swaps, mut written_at, mut failed) = (Vec::new(), Vec::new(), 0);
        for number in 1..=self.options.swaps {
            let next = Instant::now() + GAP;
            self.place(change, number)?;
            written_at.push(SystemTime::now());
            let written = Instant::now();
            failed += until(&mut client, number)?;
            swaps.push(written.elapsed());
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        let answered = load_running.end()?;
        failed += answered.iter().filter(|answer| !answer.succeeded).count();
        let half = |offset: Duration| halves(&answered, &written_at, offset);
        Ok(Run { load, cpus, change, swaps, during: half(Duration::ZERO), without: half(GAP / 2), failed })
    }
}

/// Asks until the new version answers; how many requests failed.
fn until(client: &mut Client, number: u32) -> Result<usize> {
    let (began, wanted) = (Instant::now(), versions::says(number));
    let mut failed = 0;
    loop {
        let answer = client.get()?;
        failed += usize::from(!answer.starts_with("HTTP/1.1 200"));
        if answer.contains(&wanted) {
            return Ok(failed);
        }
        if began.elapsed() > PATIENCE {
            bail!("{wanted} does not answer, but\n{answer}");
        }
        std::thread::sleep(parties::PAUSE);
    }
}

/// The half second at this distance from each swap.
fn halves(answered: &[Answered], swaps: &[SystemTime], offset: Duration) -> Vec<Half> {
    let half = |swap: &SystemTime| {
        let from = *swap + offset;
        let to = from + GAP / 2;
        let first = answered.partition_point(|answer| answer.at < from);
        let last = answered.partition_point(|answer| answer.at < to);
        Half { latencies: answered[first..last].iter().map(|answer| answer.micros).collect() }
    };
    swaps.iter().map(half).collect()
}

/// A file of the bench's folder as text, for commands.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
