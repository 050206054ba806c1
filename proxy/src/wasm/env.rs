//! What a plugin is given: everything that its instances share and that YAML grants.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::chain::{Exchange, Fault, Outbound, Outcome};
use crate::config::{Allow, InstanceMode, OnError, PluginLimits, Vm};
use crate::store::{Queues, SharedData, Space};
use crate::telemetry::{Custom, Output, PluginMetrics};

/// A value, given as JSON, as bytes.
fn bytes_of(json: &str) -> Cow<'_, [u8]> {
    match json {
        "null" => Cow::Borrowed(b""),
        text if text.starts_with('"') => Cow::Owned(serde_json::from_str::<String>(text).unwrap_or_default().into()),
        json => Cow::Borrowed(json.as_bytes()),
    }
}

/// What one version of a plugin is given.
pub struct Env {
    /// The plugin's name in the configuration.
    pub name: Arc<str>,
    /// Its configuration as JSON text.
    pub config: String,
    /// What one call may use.
    pub limits: PluginLimits,
    /// How instances are used.
    pub instance: InstanceMode,
    /// What happens when it fails.
    pub on_error: OnError,
    /// What it may do beyond its request.
    pub allow: Allow,
    /// The secrets that it may read.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// The names of the upstreams in the configuration.
    pub upstreams: Arc<BTreeSet<String>>,
    /// Its key-value space, token buckets and counters.
    pub space: Arc<Space>,
    /// What gofe counts of it.
    pub metrics: Arc<PluginMetrics>,
    /// What it counts itself.
    pub custom: Arc<Custom>,
    /// Where its output goes.
    pub output: Arc<Output>,
    /// How it sends requests of its own.
    pub outbound: Arc<dyn Outbound>,
    /// What YAML says of its VM, where it is of an ABI that has one.
    pub vm: Vm,
    /// What it shares with VMs of the same id.
    pub shared: Arc<SharedData>,
    /// The queues between VMs.
    pub queues: Arc<Queues>,
    /// Worker threads; each has a pool of instances of its own.
    pub workers: usize,
}

impl Env {
    /// What a call came to, where it says whether the plugin answers.
    pub(super) fn outcome(&self, called: Result<bool, Fault>, exchange: &mut Exchange) -> Outcome {
        match called {
            Ok(false) => Outcome::Continue,
            Ok(true) => Outcome::Respond,
            Err(fault) => self.failed(fault, exchange),
        }
    }

    /// A call failed: it is counted, and what the guest answered before that does not hold.
    pub(super) fn failed(&self, fault: Fault, exchange: &mut Exchange) -> Outcome {
        self.metrics.fault(exchange.client.worker, fault.kind.name());
        exchange.reply = None;
        Outcome::Fault(fault)
    }

    /// The configuration as the bytes that ABIs without JSON of their own get: a text as it is, nothing where there is none,
    /// and anything else as JSON.
    pub(super) fn config_bytes(&self) -> Cow<'_, [u8]> {
        bytes_of(&self.config)
    }

    /// The same of what its VM gets.
    pub(super) fn vm_bytes(&self) -> Vec<u8> {
        bytes_of(&self.vm.config.to_string()).into_owned()
    }

    /// Whether the configuration grants requests to this host and port.
    pub(super) fn allows_host(&self, uri: &http::Uri) -> bool {
        let default_port = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return false,
        };
        let Some(host) = uri.host() else { return false };
        let port = uri.port_u16().unwrap_or(default_port);
        self.allow.http.iter().any(|granted| {
            granted.host().eq_ignore_ascii_case(host)
                && granted.port_u16().map_or(matches!(port, 80 | 443), |p| p == port)
        })
    }

    /// The time that a request of the plugin's own may take, where it asks for `nanoseconds` (0: as long as it may).
    pub(super) fn outbound_timeout(&self, nanoseconds: u64) -> Duration {
        let most = self.allow.http_limits.timeout;
        if nanoseconds == 0 { most } else { most.min(Duration::from_nanos(nanoseconds)) }
    }
}
