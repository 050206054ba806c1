//! The proxy's metrics: one registry in the process, read as text at `/metrics`.
//!
//! A snapshot resolves its handles when it is built and keeps them, so that recording is a relaxed add on memory
//! of the worker's own. The same name gives the same handle, so that counts outlive a reload; a handle that no
//! snapshot holds any more is dropped with its series, so that reloads do not grow memory.

mod cells;
mod custom;
mod exposition;
mod process;
mod series;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::registry::Registry;

pub(crate) use self::cells::PerWorker;
use self::cells::{Buckets, Count, Words};
pub use self::custom::{Custom, CustomError};
pub use self::exposition::Exposition;
pub use self::series::{EndpointCounts, PluginMetrics, PluginTotals, RouteMetrics, UpstreamMetrics};

/// Everything that gofe counts.
#[derive(Debug)]
pub struct Metrics {
    state: Arc<State>,
    registry: Registry,
}

/// Handles by name.
type Table<T> = Mutex<BTreeMap<String, Arc<T>>>;

/// What a scrape reads.
#[derive(Debug)]
struct State {
    workers: usize,
    routes: Table<RouteMetrics>,
    upstreams: Table<UpstreamMetrics>,
    plugins: Table<PluginMetrics>,
    customs: custom::Customs,
    proxy: PerWorker<ProxyCell>,
    errors: Words,
    handshakes: Words,
    tunnels: Words,
    calls: Words,
    proxy_headers: Words,
    refused: Words,
    http2_closed: Words,
    acme_orders: Words,
    passed: Words,
    reloads: ReloadCounts,
    process: process::Process,
}

/// One worker's part of what is counted for the proxy as a whole.
#[derive(Debug, Default)]
struct ProxyCell {
    opened: Count,
    closed: Count,
    redirected: Count,
    dropped_lines: Count,
}

#[derive(Debug, Default)]
struct ReloadCounts {
    ok: Count,
    failed: Count,
    generation: std::sync::atomic::AtomicU64,
    swaps: Buckets,
}

impl Metrics {
    /// Metrics for so many workers.
    pub fn new(workers: usize) -> Arc<Self> {
        let state = Arc::new(State {
            workers,
            routes: Table::default(),
            upstreams: Table::default(),
            plugins: Table::default(),
            customs: custom::Customs::default(),
            proxy: PerWorker::new(workers),
            errors: Words::new(workers),
            handshakes: Words::new(workers),
            tunnels: Words::new(workers),
            calls: Words::new(workers),
            proxy_headers: Words::new(workers),
            refused: Words::new(workers),
            http2_closed: Words::new(workers),
            acme_orders: Words::new(1),
            passed: Words::new(workers),
            reloads: ReloadCounts::default(),
            process: process::Process::new(),
        });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(&state)));
        Arc::new(Self { state, registry })
    }

    /// The handle of the route of this name.
    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        resolve(&self.state.routes, name, || RouteMetrics::new(self.state.workers))
    }

    /// The handle of the upstream of this name.
    pub fn upstream(&self, name: &str) -> Arc<UpstreamMetrics> {
        resolve(&self.state.upstreams, name, || UpstreamMetrics::new(self.state.workers))
    }

    /// The handle of the plugin of this name.
    pub fn plugin(&self, name: &str) -> Arc<PluginMetrics> {
        resolve(&self.state.plugins, name, || PluginMetrics::new(self.state.workers))
    }

    /// The metrics that the plugin of this name keeps itself.
    pub fn custom(&self, plugin: &str) -> Arc<Custom> {
        self.state.customs.of(plugin)
    }

    /// Drops the series of handles that nobody holds any more. A scrape does it too; call it when a snapshot was
    /// replaced, for an instance that nobody scrapes.
    pub fn sweep(&self) {
        self.state.sweep();
    }

    /// An error was answered or a request was cut; `reason` is the word of `server::rescue`.
    pub fn error(&self, worker: usize, reason: &'static str) {
        self.state.errors.add(worker, reason);
    }

    /// A client connection was accepted.
    pub fn connection_opened(&self, worker: usize) {
        self.state.proxy.at(worker).opened.add(1);
    }

    /// It was closed, by whichever side.
    pub fn connection_closed(&self, worker: usize) {
        self.state.proxy.at(worker).closed.add(1);
    }

    /// A client connection was turned away; `limit` is which one was reached.
    pub fn connection_refused(&self, worker: usize, limit: &'static str) {
        self.state.refused.add(worker, limit);
    }

    /// An HTTP/2 connection was closed because of what its client did; `reason` is `resets` or `flood`.
    pub fn http2_closed(&self, worker: usize, reason: &'static str) {
        self.state.http2_closed.add(worker, reason);
    }

    /// A TLS handshake ended; `result` is `full`, `resumed`, or the word of `net::HandshakeError`.
    pub fn handshake(&self, worker: usize, result: &'static str) {
        self.state.handshakes.add(worker, result);
    }

    /// A tunnel ended; `end` says how.
    pub fn tunnel(&self, worker: usize, end: &'static str) {
        self.state.tunnels.add(worker, end);
    }

    /// A call of gRPC ended; `status` is the name of its status, or `none`.
    pub fn call(&self, worker: usize, status: &'static str) {
        self.state.calls.add(worker, status);
    }

    /// A connection was refused for its PROXY header; `reason` is the word of `net::ProxyHeaderError`, or `untrusted`.
    pub fn proxy_header_refused(&self, worker: usize, reason: &'static str) {
        self.state.proxy_headers.add(worker, reason);
    }

    /// A connection of a listener that passes bytes ended; `end` says how.
    pub fn passed(&self, worker: usize, end: &'static str) {
        self.state.passed.add(worker, end);
    }

    /// An order of a certificate by ACME ended.
    pub fn acme_order(&self, issued: bool) {
        self.state.acme_orders.add(0, if issued { "issued" } else { "failed" });
    }

    /// A request was sent on to HTTPS.
    pub fn redirected(&self, worker: usize) {
        self.state.proxy.at(worker).redirected.add(1);
    }

    /// Lines of plugins' output were lost.
    pub(super) fn lines_dropped(&self, worker: usize, lines: u64) {
        self.state.proxy.at(worker).dropped_lines.add(lines);
    }

    /// A configuration was put into service; `took` runs from the event that began it. The start counts as no
    /// reload: use [`Self::serving`].
    pub fn reload_ok(&self, generation: u64, took: Duration) {
        self.state.reloads.ok.add(1);
        self.state.reloads.swaps.record(took);
        self.serving(generation);
    }

    /// A configuration was refused; the one before serves on.
    pub fn reload_failed(&self) {
        self.state.reloads.failed.add(1);
    }

    /// The generation that serves.
    pub fn serving(&self, generation: u64) {
        self.state.reloads.generation.store(generation, std::sync::atomic::Ordering::Relaxed);
    }

    /// All metrics as text.
    pub fn encode(&self, exposition: Exposition) -> String {
        self.sweep();
        let mut text = String::new();
        // Writing to a String does not fail, and the collector has no errors of its own.
        let encoded: fmt::Result = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        debug_assert!(encoded.is_ok());
        exposition.render(text)
    }
}

impl State {
    fn sweep(&self) {
        held(&self.routes);
        held(&self.upstreams);
        held(&self.plugins);
        self.customs.sweep();
    }
}

/// The handle of this name, made when there is none.
fn resolve<T>(table: &Table<T>, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
    let mut table = table.lock();
    if let Some(handle) = table.get(name) {
        return Arc::clone(handle);
    }
    let handle = Arc::new(make());
    table.insert(name.to_owned(), Arc::clone(&handle));
    handle
}

/// Keeps the handles that somebody holds besides the table. New holders come only through the table's lock.
fn held<T>(table: &Table<T>) {
    table.lock().retain(|_, handle| Arc::strong_count(handle) > 1);
}
