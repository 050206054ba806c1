//! Raw structures → checked configuration: references, ranges, names, and what contradicts something else.

mod acme;
mod actions;
mod balance;
mod component;
mod discovery;
mod early_data;
mod http3;
mod listeners;
mod matches;
mod names;
mod peers;
mod plugins;
mod protocols;
mod routes;
mod send;
mod shadowed;
mod tcp;
mod treatment;
mod upstreams;
mod vm;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::diagnostic::Diagnostic;
use super::model::{Admin, ClientLimits, ClientTimeouts, Config, Endpoint, Log, LogFormat, Secret};
use super::raw::{Raw, RawAdmin, RawClientLimits, RawClientTimeouts, RawEndpoints, RawLog, RawSecret};
use super::source::{Source, child};
use super::written::{As, Size, Time};
use super::{MAX_PROBLEMS, nearest};

const MILLISECOND: Time = Time(Duration::from_millis(1));
const MINUTE: Time = Time(Duration::from_secs(60));
const HOUR: Time = Time(Duration::from_secs(3600));
const DAY: Time = Time(Duration::from_secs(24 * 3600));

/// Checks everything; the result is of use only when no error was reported.
pub(super) fn config(source: &Source, raw: &Raw, problems: &mut Vec<Diagnostic>) -> Config {
    let mut check = Check { source, problems };
    let config = Config {
        workers: check.workers(raw.workers),
        zone: check.own_zone(raw.zone.as_deref()),
        listeners: check.listeners(&raw.listeners),
        admin: raw.admin.as_ref().map(|admin| check.admin(admin)),
        limits: check.limits(&raw.limits),
        timeouts: check.timeouts(&raw.timeouts),
        log: check.log(&raw.log),
        secrets: check.secrets(&raw.secrets),
        plugins: check.plugins(&raw.plugins),
        chains: check.chains(&raw.chains),
        routes: check.routes(&raw.routes),
        upstreams: check.upstreams(&raw.upstreams),
    };
    check.addresses(&config);
    check.subsets(&config);
    check.challenges(&config);
    check.contradictions(&config.routes, &config.upstreams);
    check.listener_names(&raw.listeners);
    check.policies(raw);
    check.unused(&config);
    config
}

/// Checks a file of endpoints; the result is of use only when no error was reported.
pub(super) fn endpoints(source: &Source, raw: &RawEndpoints, problems: &mut Vec<Diagnostic>) -> Vec<Endpoint> {
    let mut check = Check { source, problems };
    if raw.endpoints.is_empty() {
        check.error("/endpoints", "there are no endpoints");
    }
    check.endpoints("/endpoints", &raw.endpoints)
}

/// Checks one configuration.
struct Check<'a> {
    source: &'a Source,
    problems: &'a mut Vec<Diagnostic>,
}

impl Check<'_> {
    /// Whether more is reported than is shown.
    fn is_full(&self) -> bool {
        self.problems.len() > MAX_PROBLEMS
    }

    fn report(&mut self, problem: impl FnOnce(&Source) -> Diagnostic) {
        if !self.is_full() {
            self.problems.push(problem(self.source));
        }
    }

    fn error(&mut self, pointer: &str, message: impl Into<String>) {
        self.report(|source| source.error(pointer, message));
    }

    fn key_error(&mut self, pointer: &str, message: impl Into<String>) {
        self.report(|source| source.key_error(pointer, message));
    }

    fn error_with_help(&mut self, pointer: &str, message: impl Into<String>, help: impl Into<String>) {
        self.report(|source| source.error(pointer, message).with_help(help));
    }

    /// Whether the file has something at a pointer, be it right or wrong.
    fn written(&self, pointer: &str) -> bool {
        self.source.value().pointer(pointer).is_some()
    }

    /// The keys of a map in the file, with those whose values are wrong.
    fn keys(&self, pointer: &str) -> Vec<&str> {
        let map = self.source.value().pointer(pointer).and_then(|value| value.as_object());
        map.map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    /// A value within bounds, or else the default.
    fn within<T: PartialOrd + Copy + Display>(&mut self, at: &str, value: Option<T>, default: T, low: T, high: T) -> T {
        let value = value.unwrap_or(default);
        if value < low || value > high {
            self.error(at, format!("{value} is out of range: it goes from {low} to {high}"));
        }
        value
    }

    fn count(&mut self, at: &str, value: Option<u64>, default: u64, low: u64, high: u64) -> usize {
        usize::try_from(self.within(at, value, default, low, high)).unwrap_or(usize::MAX)
    }

    fn size(&mut self, at: &str, value: Option<&As<Size>>, default: u64, low: u64, high: u64) -> u64 {
        self.within(at, value.map(|size| size.0), Size(default), Size(low), Size(high)).0
    }

    fn time(&mut self, at: &str, value: Option<&As<Time>>, default: Duration, low: Time, high: Time) -> Duration {
        self.within(at, value.map(|time| time.0), Time(default), low, high).0
    }

    /// Checks that a name refers to one of the keys of a map in the file.
    fn reference(&mut self, at: &str, what: &str, map: &str, name: &str) {
        if self.is_full() || self.written(&child(map, name)) {
            return;
        }
        let known = self.keys(map);
        let message = format!("there is no {what} `{name}`");
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => format!("the file has no `{}`", &map[1..]),
            None if known.len() > 20 => return self.error(at, message),
            None => format!("`{}` has {}", &map[1..], known.join(", ")),
        };
        self.error_with_help(at, message, help);
    }

    /// Checks a name that the file gives to something.
    fn name(&mut self, at: &str, name: &str) {
        let right = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 100 || !name.chars().all(right) {
            let help = "a name has 1 to 100 letters, digits, `-`, `_` and `.`";
            self.report(|source| source.key_error(at, "this cannot be a name").with_help(help));
        }
    }

    fn workers(&mut self, workers: Option<u64>) -> usize {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        self.count("/workers", workers, cores.min(1024), 1, 1024)
    }

    fn own_zone(&mut self, zone: Option<&str>) -> Option<String> {
        if zone.is_some_and(str::is_empty) {
            self.error("/zone", "the zone has no name");
        }
        zone.map(Into::into)
    }

    fn admin(&mut self, admin: &RawAdmin) -> Admin {
        let address = admin.address.as_ref().map_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 9901)), |address| address.0);
        let token = admin.token.as_ref().and_then(|token| self.secret("/admin/token", token));
        if !address.ip().to_canonical().is_loopback() && !self.written("/admin/token") {
            let message = format!("{address} can be reached from other machines, so the admin API needs a token");
            self.error_with_help("/admin/address", message, "add `token: { env: NAME }`, or listen on 127.0.0.1");
        }
        Admin { address, token }
    }

    fn limits(&mut self, raw: &RawClientLimits) -> ClientLimits {
        ClientLimits {
            connections: self.count("/limits/connections", raw.connections, 10_000, 1, 10_000_000),
            connections_per_client: self.count(
                "/limits/connections-per-client",
                raw.connections_per_client,
                1000,
                1,
                10_000_000,
            ),
            handshakes: self.count("/limits/handshakes", raw.handshakes, 1000, 1, 10_000_000),
            header_size: self.size("/limits/header-size", raw.header_size.as_ref(), 64 << 10, 8 << 10, 1 << 20)
                as usize,
            header_count: self.count("/limits/header-count", raw.header_count, 100, 1, 10_000),
            body_size: self.size("/limits/body-size", raw.body_size.as_ref(), 100 << 20, 0, 1 << 40),
            streams: self.count("/limits/streams", raw.streams, 100, 1, 10_000) as u32,
            resets: self.count("/limits/resets", raw.resets, 100, 1, 1_000_000) as u32,
            body_rate: self.size("/limits/body-rate", raw.body_rate.as_ref(), 240, 0, 1 << 30),
        }
    }

    fn timeouts(&mut self, raw: &RawClientTimeouts) -> ClientTimeouts {
        let seconds = Duration::from_secs;
        ClientTimeouts {
            header_read: self.time("/timeouts/header-read", raw.header_read.as_ref(), seconds(10), MILLISECOND, HOUR),
            idle: self.time("/timeouts/idle", raw.idle.as_ref(), seconds(60), MILLISECOND, DAY),
            body_grace: self.time("/timeouts/body-grace", raw.body_grace.as_ref(), seconds(10), MILLISECOND, HOUR),
            drain: self.time("/timeouts/drain", raw.drain.as_ref(), seconds(30), Time(Duration::ZERO), DAY),
        }
    }

    fn log(&mut self, raw: &RawLog) -> Log {
        let filter = raw.filter.clone().unwrap_or_else(|| "info".to_owned());
        if filter.trim().is_empty() {
            self.error_with_help("/log/filter", "the filter is empty", "write a level, as in `info`, or `off`");
        }
        Log { filter, format: raw.format.as_ref().map_or(LogFormat::Auto, |format| format.0) }
    }

    fn secrets(&mut self, raw: &BTreeMap<String, RawSecret>) -> BTreeMap<String, Secret> {
        let mut secrets = BTreeMap::new();
        for (name, raw) in raw {
            let at = child("/secrets", name);
            self.name(&at, name);
            secrets.extend(self.secret(&at, raw).map(|secret| (name.clone(), secret)));
        }
        secrets
    }

    fn secret(&mut self, at: &str, raw: &RawSecret) -> Option<Secret> {
        match (&raw.env, &raw.file) {
            (Some(name), None) if name.is_empty() || name.contains(['=', '\0']) => {
                self.error(&child(at, "env"), "no environment variable has this name");
            }
            (Some(name), None) => return Some(Secret::Env(name.clone())),
            (None, Some(path)) if path.is_empty() => self.error(&child(at, "file"), "the path is empty"),
            (None, Some(path)) => return Some(Secret::File(self.joined(path.into()))),
            (None, None) if self.written(&child(at, "env")) || self.written(&child(at, "file")) => {}
            _ => self.error(at, "a secret comes from one place: write `{ env: NAME }` or `{ file: PATH }`"),
        }
        None
    }

    /// A path as it is seen from the folder of the configuration file.
    fn joined(&self, path: PathBuf) -> PathBuf {
        self.source.folder().join(path)
    }
}
