//! The handles that a snapshot holds: what a route, an upstream and a plugin count.

use std::time::Duration;

use parking_lot::Mutex;

use super::cells::{Buckets, Count, Distribution, Level, PerWorker, Words, nanos};

/// The values of a `code` label: status classes, so that a peer's odd statuses make no new series. `other` is what
/// had no status, and statuses past 599.
const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The place of a status in [`CLASSES`].
fn class(status: u16) -> usize {
    match status / 100 {
        class @ 1..=5 => usize::from(class),
        _ => 0,
    }
}

/// The classes with their counts; those that every service has also while they are zero, so that the first one is
/// seen as a change.
fn classes(count: impl Fn(usize) -> u64) -> impl Iterator<Item = (&'static str, u64)> {
    let counts = CLASSES.into_iter().enumerate().map(move |(i, class)| (i, class, count(i)));
    counts.filter(|(i, _, count)| *i >= 2 || *count > 0).map(|(_, class, count)| (class, count))
}

/// What one route counts. Recording takes no lock, allocates nothing, and touches only the worker's own memory.
#[derive(Debug)]
pub struct RouteMetrics {
    cells: PerWorker<RouteCell>,
}

#[derive(Debug, Default)]
struct RouteCell {
    begun: Count,
    ended: [Count; CLASSES.len()],
    durations: Buckets,
}

impl RouteMetrics {
    pub(super) fn new(workers: usize) -> Self {
        Self { cells: PerWorker::new(workers) }
    }

    /// A request was given to this route.
    pub fn begin(&self, worker: usize) {
        self.cells.at(worker).begun.add(1);
    }

    /// It is over, with its body. `status` is 0 where the client went away before there was one; `duration` runs
    /// from the request's headers to the end of the response's body.
    pub fn end(&self, worker: usize, status: u16, duration: Duration) {
        let cell = self.cells.at(worker);
        cell.ended[class(status)].add(1);
        cell.durations.record(duration);
    }

    /// Requests that are over, by status class.
    pub(super) fn ended(&self) -> impl Iterator<Item = (&'static str, u64)> {
        classes(|i| self.cells.sum(|cell| cell.ended[i].get()))
    }

    /// Requests that have begun and are not over.
    pub(super) fn active(&self) -> u64 {
        // The ends first: what ends between the two sums would else make the difference negative.
        let ended: u64 = self.ended().map(|(_, count)| count).sum();
        self.cells.sum(|cell| cell.begun.get()).saturating_sub(ended)
    }

    pub(super) fn durations(&self) -> Distribution {
        Distribution::of(self.cells.iter().map(|cell| &cell.durations))
    }
}

/// What one upstream counts: one entry for each try, retries included.
#[derive(Debug)]
pub struct UpstreamMetrics {
    cells: PerWorker<UpstreamCell>,
    failures: Words,
    events: Words,
    endpoints: Mutex<EndpointCounts>,
}

/// What is counted of an upstream's endpoints. Who scrapes brings it up to date first, so that nothing is counted
/// twice.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct EndpointCounts {
    /// Endpoints by state.
    pub states: Vec<(&'static str, u64)>,
    /// Ejections by cause.
    pub ejections: Vec<(&'static str, u64)>,
    /// Health checks that succeeded.
    pub good_checks: u64,
    /// Health checks that failed.
    pub bad_checks: u64,
    /// Searches for endpoints that found none.
    pub failed_searches: u64,
}

#[derive(Debug, Default)]
struct UpstreamCell {
    responses: [Count; CLASSES.len()],
    durations: Buckets,
}

impl UpstreamMetrics {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            cells: PerWorker::new(workers),
            failures: Words::new(workers),
            events: Words::new(workers),
            endpoints: Mutex::default(),
        }
    }

    /// Something happened that operators want to know of: a repeated try, a breaker that opens, a limit that is reached.
    pub fn event(&self, worker: usize, event: &'static str) {
        self.events.add(worker, event);
    }

    /// Events by their words.
    pub(super) fn events(&self) -> Vec<(&'static str, u64)> {
        self.events.totals()
    }

    /// A try brought a response. `duration` runs from the choice of an endpoint to the response's headers.
    pub fn response(&self, worker: usize, status: u16, duration: Duration) {
        let cell = self.cells.at(worker);
        cell.responses[class(status)].add(1);
        cell.durations.record(duration);
    }

    /// A try brought no response. `outcome` is the word in metrics, for example `connect-failure` or `timeout`.
    pub fn failure(&self, worker: usize, outcome: &'static str, duration: Duration) {
        self.failures.add(worker, outcome);
        self.cells.at(worker).durations.record(duration);
    }

    /// What is counted of the endpoints now.
    pub fn set_endpoints(&self, counts: EndpointCounts) {
        *self.endpoints.lock() = counts;
    }

    pub(super) fn endpoints(&self) -> EndpointCounts {
        self.endpoints.lock().clone()
    }

    /// Tries by outcome: a status class or the word of a failure.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        classes(|i| self.cells.sum(|cell| cell.responses[i].get())).chain(self.failures.totals())
    }

    pub(super) fn durations(&self) -> Distribution {
        Distribution::of(self.cells.iter().map(|cell| &cell.durations))
    }
}

/// The values of a plugin's `phase` label. The first five are `chain::Phase` in its order.
const PHASES: [&str; 10] = [
    "request-headers",
    "request-body",
    "response-headers",
    "response-body",
    "complete",
    "tick",
    "configure",
    "connection",
    "data",
    "request",
];

/// What one plugin counts, over all its versions and all chains that it is in.
#[derive(Debug)]
pub struct PluginMetrics {
    cells: PerWorker<PluginCell>,
    faults: Words,
}

#[derive(Debug, Default)]
struct PluginCell {
    calls: [Count; PHASES.len()],
    nanos: Count,
    instances: Level,
    memory: Level,
}

/// A plugin's counts at one moment, for the admin API.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginTotals {
    /// Calls by phase; phases that were never called are not here.
    pub calls: Vec<(&'static str, u64)>,
    /// Failed calls by kind.
    pub faults: Vec<(&'static str, u64)>,
    /// Execution time of all calls.
    pub elapsed: Duration,
    /// Instances that exist.
    pub instances: u64,
    /// Bytes of their linear memories.
    pub memory: u64,
}

impl PluginMetrics {
    /// The `phase` of a call on the plugin's timer, for [`Self::call`].
    pub const TICK: usize = 5;
    /// The `phase` of a call of `configure`.
    pub const CONFIGURE: usize = 6;
    /// The `phase` of the begin and the end of a connection whose bytes it filters.
    pub const CONNECTION: usize = 7;
    /// The `phase` of bytes that it filters.
    pub const DATA: usize = 8;
    /// The `phase` of a request that an upstream's component answers.
    pub const REQUEST: usize = 9;

    pub(super) fn new(workers: usize) -> Self {
        Self { cells: PerWorker::new(workers), faults: Words::new(workers) }
    }

    /// A call ended, well or not, after so much execution time. `phase` is `chain::Phase as usize`, or one of this
    /// type's constants.
    pub fn call(&self, worker: usize, phase: usize, elapsed: Duration) {
        let cell = self.cells.at(worker);
        if let Some(calls) = cell.calls.get(phase) {
            calls.add(1);
        }
        cell.nanos.add(nanos(elapsed));
    }

    /// A call failed. `kind` is the word of `chain::FaultKind`.
    pub fn fault(&self, worker: usize, kind: &'static str) {
        self.faults.add(worker, kind);
    }

    /// Instances were made, or dropped when negative.
    pub fn instances(&self, worker: usize, change: i64) {
        self.cells.at(worker).instances.add(change);
    }

    /// Linear memory grew by so many bytes, or was given back when negative.
    pub fn memory(&self, worker: usize, change: i64) {
        self.cells.at(worker).memory.add(change);
    }

    /// The counts of all workers.
    pub fn totals(&self) -> PluginTotals {
        let calls = |(i, phase): (usize, _)| (phase, self.cells.sum(|cell| cell.calls[i].get()));
        let level = |level: fn(&PluginCell) -> &Level| {
            u64::try_from(self.cells.iter().map(|cell| level(cell).get()).sum::<i64>()).unwrap_or(0)
        };
        PluginTotals {
            calls: PHASES.into_iter().enumerate().map(calls).filter(|(_, count)| *count > 0).collect(),
            faults: self.faults.totals(),
            elapsed: Duration::from_nanos(self.cells.sum(|cell| cell.nanos.get())),
            instances: level(|cell| &cell.instances),
            memory: level(|cell| &cell.memory),
        }
    }
}
