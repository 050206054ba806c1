//! The runs of a scenario: subjects are started and checked, loaded in turn, round after round, and stopped.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::config::{self, Parts, Place};
use super::interrupt::Interrupt;
use super::load::{self, Figures, Load, Sample, Target};
use super::process::{Running, free_port};
use super::report::Row;
use super::scenario::{AT_ONCE, IN_FLIGHT, IN_TURN, Protocol, RESIDENT, Scenario};
use super::subject::{Product, Subject};
use super::{BOTH_CPUS, LOAD_CPU, PROXY_CPU, memory, probe, usage};

/// How long each subject is loaded before the first round: Envoy's V8 compiles hot code anew meanwhile.
const WARM_UP: u32 = 1;
/// How long a process may settle before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// What all runs share.
pub(super) struct Contest<'a> {
    /// What the subjects are made of.
    pub(super) parts: &'a Parts,
    /// A folder for files; each subject gets one in it.
    pub(super) folder: PathBuf,
    /// The size of the load.
    pub(super) load: Load,
    /// How often each subject is loaded.
    pub(super) rounds: usize,
    /// Idle connections.
    pub(super) idle: usize,
    /// Whether someone asked to end.
    pub(super) interrupt: &'a Interrupt,
}

/// One row while it is made.
struct Runner {
    row: Row,
    running: Option<(Running, Target)>,
}

/// Why a subject has no figures.
enum Absent {
    NotSupported(String),
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Absent {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl Absent {
    fn note(self, row: &mut Row) {
        match self {
            Self::NotSupported(reason) => row.not_supported(reason),
            Self::Failed(error) => row.failed(&error),
        }
    }
}

impl Contest<'_> {
    /// Runs a scenario with these subjects. What goes wrong with one of them is in its row.
    pub(super) fn run(&self, scenario: Scenario, subjects: &[Subject]) -> Result<Vec<Row>> {
        if scenario == Scenario::Memory {
            return subjects.iter().map(|subject| self.memory(*subject)).collect();
        }
        let (_upstream, upstream) = self.upstream()?;
        let each = subjects.iter().flat_map(|subject| scenario.workers().iter().map(|workers| (*subject, *workers)));
        let mut runners = Vec::new();
        for (subject, workers) in each {
            runners.push(self.runner(subject, workers, upstream, scenario)?);
        }
        for round in 1..=self.rounds {
            eprintln!("round {round} of {}", self.rounds);
            for runner in &mut runners {
                runner.round(|target| self.sample(scenario, target), self.interrupt)?;
            }
        }
        Ok(runners.into_iter().map(|runner| runner.row).collect())
    }

    fn sample(&self, scenario: Scenario, target: Target) -> Result<Sample> {
        match scenario {
            Scenario::Latency => load::open(target, self.load, &self.parts.open_loop, self.interrupt),
            _ => match scenario.handshakes() {
                Some(which) => load::handshakes(target, self.load, which, &self.parts.handshake, self.interrupt),
                None => load::closed(target, self.load, self.interrupt),
            },
        }
    }

    /// Loads a subject for the first time; why it cannot do what is asked.
    fn warm_up(&self, scenario: Scenario, target: Target) -> Option<String> {
        let load = Load { seconds: WARM_UP, ..self.load };
        let Some(which) = scenario.handshakes() else {
            // Some answer nothing within that time; the rounds will tell.
            let _ = load::closed(target, load, self.interrupt);
            return None;
        };
        let tried = load::handshakes(target, load, which, &self.parts.handshake, self.interrupt);
        let text = tried.err().map(|error| format!("{error:#}"))?;
        // The client's way to say that keys cannot be exchanged so.
        text.contains("exit status: 3").then(|| "its TLS library does not have this key exchange".to_owned())
    }

    /// Starts a subject, checks it, warms it up and freezes it.
    fn runner(&self, subject: Subject, workers: usize, upstream: u16, scenario: Scenario) -> Result<Runner> {
        let protocol = scenario.protocol();
        let mut runner = Runner { row: Row::new(subject, workers), running: None };
        eprintln!("starting {}", runner.row.label());
        let started = self.start(subject, workers, upstream, protocol).and_then(|(running, target)| {
            probe::check(target.port, protocol, subject.filters(), self.interrupt)
                .with_context(|| format!("the output of {}:\n{}", subject.name(), running.last_lines()))?;
            let unable = self.warm_up(scenario, target);
            running.freeze();
            unable.map_or(Ok((running, target)), |reason| Err(Absent::NotSupported(reason)))
        });
        self.interrupt.check()?;
        match started {
            Ok(running) => runner.running = Some(running),
            Err(absent) => absent.note(&mut runner.row),
        }
        Ok(runner)
    }

    fn start(
        &self,
        subject: Subject,
        workers: usize,
        upstream: u16,
        protocol: Protocol,
    ) -> Result<(Running, Target), Absent> {
        let port = free_port()?;
        let folder = self.folder.join(format!("{}-{port}", subject.name()));
        let place = Place { parts: self.parts, folder, port, upstream, workers, protocol };
        let command = place.command(subject)?;
        if subject.product() == Product::Gofe
            && let Some(reason) = place.refused_by_gofe(&command)
        {
            // What any gofe can do, this one must accept.
            return Err(match (protocol.tls, reason.lines().next()) {
                (true, Some(first)) => Absent::NotSupported(first.to_owned()),
                _ => Absent::Failed(anyhow!("gofe does not accept its configuration:\n{reason}")),
            });
        }
        let cpus = if workers > 1 { BOTH_CPUS } else { PROXY_CPU };
        let mut running = Running::start(&subject.name(), &command, cpus)?;
        running.wait_until_it_listens(port, self.interrupt)?;
        let target = Target { port, pid: running.pid(), protocol };
        Ok((running, target))
    }

    fn upstream(&self) -> Result<(Running, u16)> {
        let port = free_port()?;
        let folder = self.folder.join(format!("upstream-{port}"));
        let protocol = Protocol { tls: false, http2: false };
        let place = Place { parts: self.parts, folder, port, upstream: port, workers: 1, protocol };
        let mut running = Running::start("the upstream", &config::upstream(&place)?, LOAD_CPU)?;
        running.wait_until_it_listens(port, self.interrupt)?;
        Ok((running, port))
    }

    /// Memory for idle connections, each way with a process of its own, because memory is seldom given back.
    fn memory(&self, subject: Subject) -> Result<Row> {
        let mut row = Row::new(subject, 1);
        eprintln!("{}", row.label());
        match self.in_turn(subject).and_then(|first| Ok([first, self.at_once(subject)?])) {
            Ok(samples) => {
                let mut both = Sample::default();
                for sample in samples {
                    both.figures.extend(sample.figures);
                    both.failed += sample.failed;
                    both.requests += sample.requests;
                }
                row.add(both);
            }
            Err(absent) => absent.note(&mut row),
        }
        self.interrupt.check()?;
        Ok(row)
    }

    fn in_turn(&self, subject: Subject) -> Result<Sample, Absent> {
        let protocol = Scenario::Memory.protocol();
        let (_upstream, upstream) = self.upstream()?;
        let (running, target) = self.start(subject, 1, upstream, protocol)?;
        probe::check(target.port, protocol, subject.filters(), self.interrupt)?;
        let grow = || memory::in_turn(target.port, self.idle, self.interrupt);
        let (mut sample, resident) = self.growth(&running, IN_TURN, grow)?;
        sample.figures.insert(RESIDENT.into(), resident);
        Ok(sample)
    }

    fn at_once(&self, subject: Subject) -> Result<Sample, Absent> {
        let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let port = upstream.local_addr().context("the upstream's address")?.port();
        let (running, target) = self.start(subject, 1, port, Scenario::Memory.protocol())?;
        memory::first(target.port, &upstream, self.interrupt)?;
        let resident = || usage::resident_kib(running.pid());
        let (before, mut held) = (resident()?, 0);
        let hold = || {
            self.interrupt.pause(SETTLE)?;
            held = resident()?;
            Ok(())
        };
        let grow = || memory::at_once(target.port, self.idle, &upstream, self.interrupt, hold);
        let mut sample = self.growth(&running, AT_ONCE, grow)?.0;
        let each = load::as_float(held.saturating_sub(before)) / load::as_float(sample.requests.max(1));
        sample.figures.insert(IN_FLIGHT.into(), each);
        Ok(sample)
    }

    /// How much a process grows for each connection, and how large it was before, in MiB.
    fn growth(
        &self,
        running: &Running,
        key: &str,
        connect: impl FnOnce() -> Result<memory::Connections>,
    ) -> Result<(Sample, f64)> {
        let settled = || {
            self.interrupt.pause(SETTLE)?;
            usage::resident_kib(running.pid())
        };
        let before = settled()?;
        let connections = connect()?;
        let after = settled()?;
        let count = connections.open.len();
        let grown = load::as_float(after.saturating_sub(before));
        let requests = u64::try_from(count).unwrap_or(u64::MAX);
        let figures = Figures::from([(key.to_owned(), grown / load::as_float(requests.max(1)))]);
        Ok((Sample { figures, failed: connections.failed, requests }, load::as_float(before) / 1024.0))
    }
}

impl Runner {
    /// Loads the subject, while all others are frozen.
    fn round(&mut self, sample: impl FnOnce(Target) -> Result<Sample>, interrupt: &Interrupt) -> Result<()> {
        let Some((running, target)) = &self.running else { return Ok(()) };
        running.thaw();
        let sampled = sample(*target);
        running.freeze();
        interrupt.check()?;
        match sampled {
            Ok(sample) => self.row.add(sample),
            Err(error) => {
                self.row.failed(&error.context(format!("its last lines:\n{}", running.last_lines())));
                self.running = None;
            }
        }
        Ok(())
    }
}
