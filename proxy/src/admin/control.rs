//! What the admin API asks of the rest of gofe, and the forms in which it shows what it gets.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

pub use crate::reload::{ChangeError, Changed, Trigger};
use crate::telemetry::{Exposition, PluginTotals};

/// A change under way.
pub type Change = Pin<Box<dyn Future<Output = Result<Changed, ChangeError>> + Send>>;

/// What the admin API works with. Its methods run on the admin thread and must not wait for workers.
pub trait Control: Send + Sync + 'static {
    /// Whether requests are served: false while gofe starts and while it drains.
    fn ready(&self) -> bool;

    /// The configuration that serves.
    fn config(&self) -> ConfigView;

    /// The plugins of the configuration that serves, also those that could not be loaded, and behind them the components that
    /// upstreams are.
    fn plugins(&self) -> Vec<PluginView>;

    /// The upstreams of the configuration that serves.
    fn upstreams(&self) -> Vec<UpstreamView>;

    /// The certificates that gofe gets by itself.
    fn certificates(&self) -> Vec<CertificateView>;

    /// The configurations that were loaded or refused, the newest first.
    fn history(&self) -> Vec<HistoryView>;

    /// All metrics as text.
    fn metrics(&self, exposition: Exposition) -> String;

    /// Loads configuration and plugins anew. The future is driven to its end also when the client goes away.
    fn reload(&self) -> Change;

    /// Brings back the configuration of a generation, or where none is named the one before.
    fn rollback(&self, generation: Option<u64>) -> Change;
}

/// The configuration that serves.
#[derive(Debug, Clone, Serialize)]
pub struct ConfigView {
    /// Counts from 1 at the start; each configuration put into service has the next number.
    pub generation: u64,
    /// SHA-256 over the file and all plugins, in lower-case hexadecimal.
    pub digest: String,
    /// When it was put into service.
    #[serde(serialize_with = "rfc3339")]
    pub loaded_at: SystemTime,
    /// The file it came from.
    pub file: String,
    /// The file's text, with secrets masked.
    pub yaml: String,
}

/// A plugin, or the component of an upstream, and what it has cost.
#[derive(Debug, Clone, Serialize)]
pub struct PluginView {
    /// The name in the configuration; of an upstream's component, `upstream/` and the upstream's.
    pub name: String,
    /// The generation that brought this version.
    pub version: u64,
    /// Where the code is, as the configuration says it.
    pub source: String,
    /// The code's SHA-256; absent where there was no code to read.
    pub digest: Option<String>,
    /// What the loader found it to be; absent where it was nothing that gofe runs.
    pub abi: Option<&'static str>,
    /// The phases that it is called in; none of a component, which answers requests.
    pub phases: Vec<&'static str>,
    /// Whether it works.
    #[serde(flatten)]
    pub state: PluginState,
    /// What it has cost since the start, over all its versions.
    #[serde(flatten, serialize_with = "totals")]
    pub totals: PluginTotals,
}

/// Whether a plugin works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum PluginState {
    /// It serves.
    Active,
    /// It could not be loaded; requests get what its `on-error` says.
    Failed {
        /// Why.
        error: String,
    },
}

/// An upstream.
#[derive(Debug, Clone, Serialize)]
pub struct UpstreamView {
    /// The name in the configuration.
    pub name: String,
    /// How an endpoint is chosen, in the words of the configuration.
    pub balance: &'static str,
    /// The protocol, in the words of the configuration.
    pub protocol: &'static str,
    /// What its circuit breaker does; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<&'static str>,
    /// How often that has opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker_opened: Option<u64>,
    /// Requests in progress; absent where there is no limit on them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<usize>,
    /// What adaptive concurrency allows of them now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency_limit: Option<u32>,
    /// How the last search for endpoints went, where they are discovered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<DiscoveryView>,
    /// Its servers; none for a built-in one.
    pub endpoints: Vec<EndpointView>,
}

/// A certificate that gofe gets by itself.
#[derive(Debug, Clone, Serialize)]
pub struct CertificateView {
    /// The names that it is for.
    pub names: Vec<String>,
    /// The directory of the authority.
    pub directory: String,
    /// Whether there is one.
    pub issued: bool,
    /// Until when it holds.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub not_after: Option<SystemTime>,
    /// When the next order begins; absent while one is under way.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub next_order: Option<SystemTime>,
    /// Why the last order failed; absent where it did not.
    pub error: Option<String>,
}

/// How the last search for endpoints went.
#[derive(Debug, Clone, Serialize)]
pub struct DiscoveryView {
    /// When endpoints were found last; absent where they never were.
    #[serde(serialize_with = "rfc3339_or_null")]
    pub found_at: Option<SystemTime>,
    /// Why the last search found nothing: the endpoints are those that were found before.
    pub error: Option<String>,
}

/// One server of an upstream.
#[derive(Debug, Clone, Serialize)]
pub struct EndpointView {
    /// Host and port.
    pub address: String,
    /// Labels for subsets.
    pub labels: BTreeMap<String, String>,
    /// Its share beside the others.
    pub weight: u32,
    /// Those of a lower number go first.
    pub priority: u8,
    /// `healthy`, `unhealthy` by its checks, `ejected` for how it answers, or `draining` when it has left.
    pub health: &'static str,
    /// What the last health check found wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_error: Option<String>,
    /// For how much longer it is ejected, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_seconds")]
    pub ejected_for: Option<Duration>,
    /// Its latency in seconds, where endpoints are chosen by it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_seconds")]
    pub latency: Option<Duration>,
    /// Requests that are with it now, from all workers.
    pub active: u64,
    /// Requests that were sent to it.
    pub total: u64,
    /// Those that got no response, and responses that broke off.
    pub failures: u64,
    /// What its circuit breaker does; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<&'static str>,
}

/// One configuration of the past, or the one that serves.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryView {
    /// Its generation; absent where it was refused.
    pub generation: Option<u64>,
    /// Its digest.
    pub digest: String,
    /// When it was put into service or refused.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    /// What brought it.
    pub trigger: Trigger,
    /// How long it took.
    #[serde(rename = "seconds", serialize_with = "crate::reload::seconds")]
    pub took: Duration,
    /// Whether it is the one that serves.
    pub serving: bool,
    /// The diagnostics, where it was refused.
    pub error: Option<String>,
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    // The formatter fails on times that it cannot write; a clock may be set before 1970 or past 9999.
    let plausible =
        *time >= SystemTime::UNIX_EPOCH && *time < SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_800);
    let time = if plausible { *time } else { SystemTime::UNIX_EPOCH };
    serializer.collect_str(&humantime::format_rfc3339_millis(time))
}

fn rfc3339_or_null<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}

fn some_seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

fn totals<S: Serializer>(totals: &PluginTotals, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Totals<'a> {
        calls: BTreeMap<&'a str, u64>,
        faults: BTreeMap<&'a str, u64>,
        seconds: f64,
        instances: u64,
        memory_bytes: u64,
    }
    let PluginTotals { calls, faults, elapsed, instances, memory } = totals;
    Totals {
        calls: calls.iter().copied().collect(),
        faults: faults.iter().copied().collect(),
        seconds: elapsed.as_secs_f64(),
        instances: *instances,
        memory_bytes: *memory,
    }
    .serialize(serializer)
}
