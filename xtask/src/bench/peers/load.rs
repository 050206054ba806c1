//! The load generators and what they say.

mod h2load;
mod lines;
mod wrk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::interrupt::Interrupt;
use super::scenario::{CPU, Handshakes, OTHERS, P50, P99, P999, PER_CPU_SECOND, Protocol, RATE};
use super::usage::{self, Time};
use super::{LOAD_CPU, PROXY_CPU, process};

/// Figures by the keys of [`super::scenario`].
pub(super) type Figures = BTreeMap<String, f64>;

/// What every request carries. The filters let no request pass without it.
const HEADER: &str = "x-api-key: secret";
/// How long a generator may take to start and to end.
const SPARE: Duration = Duration::from_secs(20);
/// Connections of the open loop. Each has one request in flight at most, so there must be enough of them.
const OPEN_CONNECTIONS: u32 = 32;

/// The size of a load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// How long it lasts.
    pub(super) seconds: u32,
    /// Connections of the closed loop.
    pub(super) connections: u32,
    /// Requests a second of the open loop.
    pub(super) rate: u32,
}

/// One subject under load: figures, requests that failed, and all requests.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sample {
    /// The figures.
    pub(super) figures: Figures,
    /// Requests that were not answered with 200.
    pub(super) failed: u64,
    /// All requests.
    pub(super) requests: u64,
}

/// Where a load goes: a port, and the process whose CPU time counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// Its port on the loopback address.
    pub(super) port: u16,
    /// Its process.
    pub(super) pid: u32,
    /// How it is talked to.
    pub(super) protocol: Protocol,
}

/// As many requests as go through.
pub(super) fn closed(target: Target, load: Load, interrupt: &Interrupt) -> Result<Sample> {
    if target.protocol == (Protocol { tls: false, http2: false }) {
        let mut command = Command::new("wrk");
        command.args(["-t1", "--latency", "-H", HEADER]);
        command.arg(format!("-c{}", load.connections)).arg(format!("-d{}s", load.seconds)).arg(url(target));
        return sample(target, load, interrupt, "wrk", &command, wrk::parse);
    }
    let mut command = h2load(target, load.connections, load.seconds);
    if target.protocol.http2 {
        command.arg("-m8");
    }
    with_log(target, load, interrupt, command)
}

/// A fixed rate of requests, by the program `client`.
pub(super) fn open(target: Target, load: Load, client: &Path, interrupt: &Interrupt) -> Result<Sample> {
    let mut command = Command::new(client);
    command.arg(format!("--port={}", target.port)).arg(format!("--seconds={}", load.seconds));
    command.arg(format!("--connections={OPEN_CONNECTIONS}")).arg(format!("--rate={}", load.rate));
    command.arg(format!("--header={HEADER}"));
    sample(target, load, interrupt, "bench-open-loop", &command, lines::parse)
}

/// As many handshakes as go through, by the program `client`.
pub(super) fn handshakes(
    target: Target,
    load: Load,
    which: Handshakes,
    client: &Path,
    interrupt: &Interrupt,
) -> Result<Sample> {
    let mut command = Command::new(client);
    command.arg(format!("--port={}", target.port)).arg(format!("--seconds={}", load.seconds));
    command.arg(format!("--connections={}", load.connections)).arg(format!("--key-exchange={}", which.key_exchange));
    if which.resume {
        command.arg("--resume");
    }
    let mut sample = sample(target, load, interrupt, "bench-handshake", &command, lines::parse)?;
    if let Some(micros) = sample.figures.get(CPU).copied().filter(|micros| *micros > 0.0) {
        sample.figures.insert(PER_CPU_SECOND.into(), 1e6 / micros);
    }
    Ok(sample)
}

fn h2load(target: Target, connections: u32, seconds: u32) -> Command {
    let mut command = Command::new("h2load");
    command.args(["-t1", "-H", HEADER]).arg(format!("-c{connections}")).arg(format!("-D{seconds}"));
    if !target.protocol.http2 {
        command.arg("--h1");
    }
    if target.protocol.tls {
        // One cipher for all: servers prefer different ones.
        command.arg("--tls13-ciphers=TLS_AES_128_GCM_SHA256");
    }
    command.arg(url(target));
    command
}

fn url(target: Target) -> String {
    format!("{}://127.0.0.1:{}/", if target.protocol.tls { "https" } else { "http" }, target.port)
}

fn with_log(target: Target, load: Load, interrupt: &Interrupt, mut command: Command) -> Result<Sample> {
    let folder = tempfile::tempdir().context("a folder for h2load's log")?;
    let log: PathBuf = folder.path().join("requests");
    command.arg(format!("--log-file={}", log.display()));
    let parse = |text: &str| h2load::parse(text, &log, target.protocol.tls);
    sample(target, load, interrupt, "h2load", &command, parse)
}

fn sample(
    target: Target,
    load: Load,
    interrupt: &Interrupt,
    name: &str,
    command: &Command,
    parse: impl Fn(&str) -> Result<Requests>,
) -> Result<Sample> {
    let limit = Duration::from_secs(load.seconds.into()) + SPARE;
    let (before, busy, start) = (Time::of(target.pid)?, usage::busy(PROXY_CPU)?, Instant::now());
    let text = process::output(name, command, LOAD_CPU, limit, interrupt)?;
    let (used, took) = (Time::of(target.pid)?.since(&before), start.elapsed());
    let others = usage::busy(PROXY_CPU)?.saturating_sub(busy).saturating_sub(used);
    let requests = parse(&text).with_context(|| format!("what {name} printed:\n{text}"))?;
    let mut sample = requests.into_sample(used, took.min(Duration::from_secs(load.seconds.into())));
    sample.figures.insert(OTHERS.into(), others.as_secs_f64() / took.as_secs_f64() * 100.0);
    Ok(sample)
}

/// What a generator says.
#[derive(Debug, Clone, Default, PartialEq)]
struct Requests {
    good: u64,
    failed: u64,
    /// Milliseconds by key.
    times: Vec<(&'static str, f64)>,
}

impl Requests {
    fn into_sample(self, used: Duration, took: Duration) -> Sample {
        let count = as_float(self.good + self.failed).max(1.0);
        let mut figures = Figures::new();
        figures.insert(CPU.into(), used.as_secs_f64() * 1e6 / count);
        figures.insert(RATE.into(), count / took.as_secs_f64());
        figures.extend(self.times.into_iter().map(|(key, time)| (key.to_owned(), time)));
        Sample { figures, failed: self.failed, requests: self.good + self.failed }
    }
}

/// The percentiles of times in microseconds.
fn percentiles(mut micros: Vec<u64>) -> Vec<(&'static str, f64)> {
    micros.sort_unstable();
    let at = |per_mille: usize| {
        let index = (micros.len() * per_mille / 1000).min(micros.len().checked_sub(1)?);
        Some(as_float(micros[index]) / 1e3)
    };
    [(P50, 500), (P99, 990), (P999, 999)].into_iter().filter_map(|(key, mille)| Some((key, at(mille)?))).collect()
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^52")]
pub(super) fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let times = (1..=1000).rev().map(|milli| milli * 1000).collect();
        assert_eq!(percentiles(times), [(P50, 501.0), (P99, 991.0), (P999, 1000.0)]);
        assert_eq!(percentiles(Vec::new()), []);
    }

    #[test]
    fn the_cost_of_a_request_counts_failed_ones_too() {
        let requests = Requests { good: 150, failed: 50, times: vec![(P50, 0.5)] };
        let sample = requests.into_sample(Duration::from_millis(4), Duration::from_secs(2));
        assert_eq!((sample.figures[CPU], sample.figures[RATE], sample.figures[P50]), (20.0, 100.0, 0.5));
        assert_eq!((sample.failed, sample.requests), (50, 200));
    }
}
