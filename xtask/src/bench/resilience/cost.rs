//! What all of it costs a request when nothing fails: gofe with everything on beside gofe with nothing, round by round.
//!
//! Both run with one worker on one processor; nginx with answers of 1 KiB on three ports and wrk share the other. The figure
//! is CPU time of gofe's process for each request, as `bench peers` has it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::parties::{self, Gofe};
use crate::bench::peers::report::median;
use crate::bench::peers::usage::Time;
use crate::bench::peers::{install, prepare};
use crate::process;

/// Requests in flight.
const CONNECTIONS: u32 = 64;
/// How long each is loaded before the first round, in seconds.
const WARM_UP: u64 = 1;
/// How long nginx may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// What each round found: microseconds of CPU for a request, with nothing and with everything.
pub(super) struct Cost {
    rounds: Vec<[f64; 2]>,
    seconds: u64,
}

impl Cost {
    /// Measures. Needs two processors, taskset, wrk and nginx, which `bench peers` installs.
    pub(super) fn measure(gofe: &Path, rounds: usize, seconds: u64) -> Result<Self> {
        prepare()?;
        let folder = tempfile::tempdir()?;
        let upstream = Upstream::start(folder.path())?;
        let start = |more: (String, String)| Gofe::start_pinned(gofe, &upstream.addresses, &more);
        let both = [start((String::new(), String::new()))?, start(everything())?];
        for gofe in &both {
            load(gofe, WARM_UP)?;
        }
        let mut measured = Vec::new();
        for round in 1..=rounds {
            eprintln!("cost, round {round} of {rounds}");
            // Each goes first as often as the other.
            let order = if round % 2 == 0 { [1, 0] } else { [0, 1] };
            let mut costs = [0.0; 2];
            for at in order {
                costs[at] = load(&both[at], seconds)?;
            }
            measured.push(costs);
        }
        Ok(Self { rounds: measured, seconds })
    }

    /// The measured part of the page.
    pub(super) fn markdown(&self) -> String {
        let of = |at: usize| median(self.rounds.iter().map(|round| round[at]).collect()).unwrap_or_default();
        let ratios: Vec<f64> = self.rounds.iter().map(|[nothing, all]| all / nothing).collect();
        let (least, most) = ratios.iter().fold((f64::MAX, 0.0_f64), |(low, high), one| (low.min(*one), high.max(*one)));
        let ratio = median(ratios).unwrap_or_default();
        format!(
            "`cargo xtask bench resilience --cost`, {} rounds of {} seconds: {:.1} µs of CPU for a request with nothing, \
             {:.1} µs with everything, **{ratio:.3} ×** (the median of the rounds, which are from {least:.3} to {most:.3}).",
            self.rounds.len(),
            self.seconds,
            of(0),
            of(1)
        )
    }
}

/// The keys of the route and of the upstream: each kind of governance that there is, with bounds that nothing reaches.
pub(super) fn everything() -> (String, String) {
    let route = "    active-requests: 10000\n    \
                 retry: { attempts: 3, per-try-timeout: 500ms, on: [connect-failure, reset, 5xx] }\n";
    let upstream = "    balance: { policy: peak-ewma }\n    \
                    health: { http: / }\n    \
                    outlier-detection: { success-rate: true, latency: true }\n    \
                    circuit-breaker: { failure-rate: 50%, slow-call-rate: 90%, slow-call: 1s }\n    \
                    endpoint-circuit-breaker: { failure-rate: 50% }\n    \
                    limits: { connections: 1000, requests: 10000 }\n    \
                    retry-budget: { share: 20% }\n    \
                    adaptive-concurrency: { minimum: 200 }\n";
    (route.to_owned(), upstream.to_owned())
}

/// Loads a gofe, and returns the microseconds of CPU that a request cost it.
fn load(gofe: &Gofe, seconds: u64) -> Result<f64> {
    let before = Time::of(gofe.pid())?;
    let mut wrk = Command::new("wrk");
    wrk.arg("-t1")
        .arg(format!("-c{CONNECTIONS}"))
        .arg(format!("-d{seconds}s"))
        .arg(format!("http://{}/", gofe.address));
    let text = process::output(&mut wrk)?;
    let used = Time::of(gofe.pid())?.since(&before);
    ensure!(!text.contains("Non-2xx"), "requests failed:\n{text}");
    let requests = requests(&text).with_context(|| format!("what wrk printed:\n{text}"))?;
    Ok(used.as_secs_f64() * 1e6 / requests)
}

/// How many requests wrk has counted.
fn requests(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains(" requests in "))?;
    line.split_whitespace().next()?.parse().ok().filter(|count| *count > 0.0)
}

/// nginx with three ports.
struct Upstream {
    child: Child,
    addresses: Vec<String>,
}

impl Upstream {
    fn start(folder: &Path) -> Result<Self> {
        let nginx = install::find("nginx").context("nginx is not there: `cargo xtask bench peers` installs it")?;
        ensure!(install::find("wrk").is_some(), "wrk is not there: `cargo xtask bench peers` installs it");
        let ports = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0"));
        let listeners: Vec<TcpListener> = ports.into_iter().collect::<Result<_, _>>()?;
        let addresses: Vec<String> =
            listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect::<Result<_>>()?;
        drop(listeners);
        let (body, place) = ("x".repeat(1024), folder.display());
        let listen: String = addresses.iter().map(|address| format!("    listen {address};\n")).collect();
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let paths: String = kinds.iter().map(|kind| format!("  {kind}_temp_path {place}/{kind};\n")).collect();
        let text = format!(
            "worker_processes 1;\ndaemon off;\npid {place}/nginx.pid;\nerror_log stderr;\n\
             events {{ worker_connections 4000; }}\nhttp {{\n  access_log off;\n  keepalive_requests 100000000;\n{paths}\
             \x20 server {{\n{listen}    location / {{ return 200 \"{body}\"; }}\n  }}\n}}\n"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, text)?;
        let child = Command::new(nginx).args(["-e", "stderr", "-c"]).arg(&file).stderr(Stdio::null()).spawn()?;
        let mut upstream = Self { child, addresses };
        let end = Instant::now() + PATIENCE;
        while upstream.addresses.iter().any(|address| !parties::listens(address)) {
            if let Some(status) = upstream.child.try_wait()? {
                bail!("nginx has ended with {status}");
            }
            ensure!(Instant::now() < end, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(upstream)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // Killed, it would leave its worker behind.
        let pid = self.child.id().to_string();
        drop(Command::new("kill").args(["-TERM", &pid]).status());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_as_wrk_says() {
        let text = "  2 threads and 10 connections\n  81091 requests in 4.00s, 92.10MB read\nRequests/sec:  20272.11\n";
        assert_eq!(requests(text), Some(81_091.0));
        assert_eq!(requests("  0 requests in 4.00s, 0.00B read\n"), None);
    }

    #[test]
    fn the_ratio_is_that_of_one_round() {
        let cost = Cost { rounds: vec![[10.0, 11.0], [20.0, 21.0], [10.0, 10.9]], seconds: 4 };
        let text = cost.markdown();
        assert!(text.contains("10.0 µs") && text.contains("**1.090 ×**") && text.contains("1.050 to 1.100"), "{text}");
    }
}
