//! `cargo xtask bench hold`: what connections and streams cost that are only held, and what other clients see of attacks.

mod attack;
mod frames;
mod report;
mod upstream;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use rustix::process::{Resource, getrlimit};
use tempfile::TempDir;

use super::peers;
use super::resilience::load::{Load, Seen};
use super::swap::parties::{Client, Gofe, free_address};
use crate::dist;
use crate::workspace::Workspace;
use attack::{Attack, Done};
use frames::Frames;
use upstream::Silent;

/// How long all of it may take, the build aside.
const ALL: Duration = Duration::from_secs(90);
/// Load before the part that is measured.
const BEFORE: Duration = Duration::from_secs(1);
/// gofe listens on so many addresses of the loopback network, so that clients do not run out of ports.
const ADDRESSES: u8 = 4;
/// Streams on one connection.
const STREAMS: u32 = 100;
/// Open files beside those of held connections.
const SPARE: u64 = 1000;

/// What to hold, and for how long to attack.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// This gofe in the place of the one that `cargo xtask dist` leaves.
    #[arg(long, value_name = "PATH")]
    gofe: Option<PathBuf>,
    /// Idle connections.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    idle: u32,
    /// Slow streams of HTTP/2.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    streams: u32,
    /// Half-written heads.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    heads: u32,
    /// Requests a second of the other client.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// How long each latency is measured.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=15))]
    seconds: u64,
}

/// What was held.
struct Held {
    what: &'static str,
    count: u32,
    /// How much resident memory it added.
    kib: u64,
}

impl Held {
    fn each(&self) -> f64 {
        self.kib as f64 / f64::from(self.count)
    }
}

/// What another client saw, and of what.
struct Latency {
    during: &'static str,
    seen: Seen,
    /// gofe's resident memory when the attack was still on.
    kib: u64,
    /// What the attackers did.
    done: Option<Done>,
}

/// Measures and prints.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let gofe = dist::named(workspace, options.gofe.as_deref())?;
    peers::prepare()?;
    let (wanted, allowed) = (u64::from(options.idle) + SPARE, getrlimit(Resource::Nofile).current);
    ensure!(
        allowed.is_none_or(|allowed| allowed >= wanted),
        "{wanted} files must be open at a time (`ulimit -Hn`): raise it, or lower --idle"
    );
    let folder = tempfile::Builder::new().prefix("gofe-bench-").tempdir().context("a temporary folder")?;
    let bench = Bench { gofe, folder, options, end: Instant::now() + ALL };
    eprintln!("{} idle connections", options.idle);
    let idle = bench.idle()?;
    eprintln!("{} slow streams", options.streams);
    let slow = bench.streams()?;
    eprintln!("{} requests/s alone, during a rapid reset, during slow-loris", options.rate);
    let alone = bench.latency("nothing else", |_| Ok(None))?;
    let reset = bench.latency("rapid reset", |bench| Attack::rapid_reset(bench.attacked, bench.end).map(Some))?;
    let loris =
        bench.latency("slow-loris", |bench| Attack::slow_loris(bench.attacked, options.heads, bench.end).map(Some))?;
    print!("{}", report::markdown(&[idle, slow], &[alone, reset, loris], options.rate));
    Ok(())
}

struct Bench<'a> {
    gofe: PathBuf,
    folder: TempDir,
    options: &'a Options,
    end: Instant,
}

/// What an attack is told.
struct Target {
    attacked: SocketAddr,
    end: Instant,
}

impl Bench<'_> {
    fn start(&self, upstream: Option<SocketAddr>) -> Result<Gofe> {
        let address = free_address()?;
        Gofe::start_with(&self.gofe, self.folder.path(), address, &yaml(address, upstream), true)
    }

    fn in_time(&self) -> Result<()> {
        ensure!(Instant::now() < self.end, "the run takes longer than {ALL:?}");
        Ok(())
    }

    /// Connections that have one request each, one after the other, and then nothing.
    fn idle(&self) -> Result<Held> {
        let gofe = self.start(None)?;
        let before = peers::usage::resident_kib(gofe.pid())?;
        let mut open = Vec::new();
        for number in 0..self.options.idle {
            self.in_time()?;
            let mut client = Client::connect(nth(gofe.address, number))?;
            let answer = client.get().with_context(|| format!("connection {number}"))?;
            ensure!(answer.starts_with("HTTP/1.1 200"), "connection {number}:\n{answer}");
            open.push(client);
        }
        let kib = peers::usage::resident_kib(gofe.pid())?.saturating_sub(before);
        // All were held, or these have gone.
        for client in open.iter_mut().step_by(50) {
            client.get().context("a connection that was held")?;
        }
        Ok(Held { what: "idle HTTP/1.1 connection that had a request", count: self.options.idle, kib })
    }

    /// Streams whose body does not end, forwarded to an upstream that does not answer.
    fn streams(&self) -> Result<Held> {
        let upstream = Silent::start()?;
        let gofe = self.start(Some(upstream.address))?;
        let before = peers::usage::resident_kib(gofe.pid())?;
        let mut connections = Vec::new();
        let mut left = self.options.streams;
        while left > 0 {
            let mut frames = Frames::connect(nth(gofe.address, left / STREAMS))?;
            let here = left.min(STREAMS);
            for stream in (1..).step_by(2).take(usize::try_from(here)?) {
                frames.open(stream, "POST", "/held")?;
                frames.data(stream, b"a")?;
            }
            left -= here;
            connections.push(frames);
        }
        while upstream.count() < u64::from(self.options.streams) {
            self.in_time().with_context(|| format!("{} streams came to the upstream", upstream.count()))?;
            std::thread::sleep(Duration::from_millis(5));
        }
        let kib = peers::usage::resident_kib(gofe.pid())?.saturating_sub(before);
        for frames in &mut connections {
            frames.settle().context("a connection with slow streams")?;
        }
        let what = "HTTP/2 stream with an unfinished body, and its connection to the upstream";
        Ok(Held { what, count: self.options.streams, kib })
    }

    /// What a client sees at its rate.
    fn latency(&self, during: &'static str, attack: impl FnOnce(&Target) -> Result<Option<Attack>>) -> Result<Latency> {
        self.in_time()?;
        let gofe = self.start(None)?;
        let attack = attack(&Target { attacked: nth(gofe.address, 1), end: self.end })?;
        let seconds = Duration::from_secs(self.options.seconds);
        let seen = Load::start(gofe.address, self.options.rate, BEFORE, seconds).end();
        let kib = peers::usage::resident_kib(gofe.pid())?;
        let done = attack.map(Attack::end);
        let answer = Client::connect(gofe.address)?.get().context("after the attack")?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "after the attack:\n{answer}");
        Ok(Latency { during, seen, kib, done })
    }
}

/// One of the addresses on which gofe listens.
fn nth(address: SocketAddr, number: u32) -> SocketAddr {
    let last = u8::try_from(number % u32::from(ADDRESSES)).unwrap_or(0) + 1;
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), address.port())
}

/// One worker, limits that let all of it in, and times that hold it. `header-read` is the default.
fn yaml(address: SocketAddr, upstream: Option<SocketAddr>) -> String {
    let listeners = (0..ADDRESSES).map(|number| format!("{{ address: '{}' }}", nth(address, number.into())));
    let listeners = listeners.collect::<Vec<_>>().join(", ");
    let (route, held) = upstream.map_or_else(Default::default, |upstream| {
        let route = "{ match: { path: /held }, upstream: held }, ".to_owned();
        (route, format!(", held: {{ endpoints: ['{upstream}'] }}"))
    });
    format!(
        "workers: 1
listeners: [{listeners}]
limits: {{ connections: 100000, connections-per-client: 100000 }}
timeouts: {{ idle: 5m, body-grace: 5m }}
routes: [{route}{{ upstream: echo }}]
upstreams: {{ echo: {{ builtin: echo }}{held} }}
"
    )
}
