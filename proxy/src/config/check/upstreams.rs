//! Upstreams.

use std::collections::BTreeMap;
use std::time::Duration;

use http::uri::Authority;

use super::{Check, DAY, MILLISECOND, send};
use crate::config::model::{Backend, Endpoint, Upstream};
use crate::config::raw::{Brief, List, RawEndpoint, RawUpstream};
use crate::config::source::child;
use crate::config::written::Place;

impl Check<'_> {
    pub(super) fn upstreams(&mut self, raw: &BTreeMap<String, RawUpstream>) -> BTreeMap<String, Upstream> {
        let mut upstreams = BTreeMap::new();
        for (name, raw) in raw {
            let at = child("/upstreams", name);
            self.name(&at, name);
            if let Some(policy) = &raw.policy {
                self.reference(&child(&at, "policy"), "policy", "/policies", policy);
            }
            upstreams.insert(name.clone(), self.upstream(&at, raw));
        }
        upstreams
    }

    fn upstream(&mut self, at: &str, raw: &RawUpstream) -> Upstream {
        let (connect, idle) = (child(at, "connect-timeout"), child(at, "idle-timeout"));
        let protocol = raw.protocol.as_ref().map(|protocol| protocol.0).unwrap_or_default();
        Upstream {
            backend: self.backend(at, raw),
            balance: self.balance(at, raw),
            health: self.health(at, raw, protocol),
            outliers: self.outliers(at, raw),
            protocol,
            connect_timeout: self.time(
                &connect,
                raw.connect_timeout.as_ref(),
                Duration::from_secs(5),
                MILLISECOND,
                DAY,
            ),
            idle_timeout: self.time(&idle, raw.idle_timeout.as_ref(), Duration::from_secs(60), MILLISECOND, DAY),
            idle_connections: self.count(&child(at, "idle-connections"), raw.idle_connections, 128, 0, 65_535),
            sending: self.sending(at, raw),
        }
    }

    fn backend(&mut self, at: &str, raw: &RawUpstream) -> Backend {
        let (endpoints, discovery) = (child(at, "endpoints"), child(at, "discovery"));
        let written =
            ["endpoints", "builtin", "discovery", "component"].map(|key| (key, self.written(&child(at, key))));
        let written: Vec<&str> = written.into_iter().filter(|(_, written)| *written).map(|(key, _)| key).collect();
        match written[..] {
            [] => self.error_with_help(at, "there are no endpoints", "write `endpoints: [HOST:PORT]`"),
            [first, second, ..] => {
                self.error(&child(at, second), format!("`{first}` and `{second}` exclude each other"));
            }
            ["endpoints"] if self.source.value().pointer(&endpoints).is_some_and(is_empty_list) => {
                self.error(&endpoints, "there are no endpoints");
            }
            _ => {}
        }
        match (&raw.builtin, &raw.discovery, &raw.component) {
            (Some(builtin), _, _) => {
                self.useless(at, raw);
                builtin.0.clone()
            }
            (None, Some(found), _) => self.discovery(&discovery, found),
            (None, None, Some(component)) => self.component(at, &component.0, raw),
            (None, None, None) => Backend::Endpoints(self.endpoints(&endpoints, &raw.endpoints)),
        }
    }

    /// What a builtin upstream has no use for.
    fn useless(&mut self, at: &str, raw: &RawUpstream) {
        let given = given(raw);
        for (key, _) in given.iter().chain(&send::given(raw)).filter(|(_, given)| *given) {
            self.key_error(&child(at, key), format!("`{key}` has no effect on a builtin upstream"));
        }
    }

    pub(super) fn endpoints(&mut self, at: &str, raw: &List<Brief<RawEndpoint>>) -> Vec<Endpoint> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for (index, endpoint) in raw.iter().enumerate() {
            let Some(raw) = endpoint.as_ref().map(|endpoint| &endpoint.0) else { continue };
            let (authority, socket) = match raw.address.0.clone() {
                Place::Network(authority) => (authority, None),
                Place::Socket(path) => (Authority::from_static("localhost"), Some(path)),
            };
            let endpoint = Endpoint { authority, socket, labels: raw.labels.clone(), weight: 1, priority: 0 };
            if endpoints.iter().any(|other| other.authority == endpoint.authority && other.socket == endpoint.socket) {
                self.error(&format!("{at}/{index}"), format!("{} is in this upstream twice", endpoint.address()));
            }
            let at = format!("{at}/{index}");
            let weight = self.count(&child(&at, "weight"), raw.weight, 1, 0, 10_000) as u32;
            let priority = self.count(&child(&at, "priority"), raw.priority, 0, 0, 255) as u8;
            endpoints.push(Endpoint { weight, priority, ..endpoint });
        }
        if !endpoints.is_empty() && endpoints.iter().all(|endpoint| endpoint.weight == 0) {
            self.error(at, "every endpoint has the weight 0, so none gets a request");
        }
        endpoints
    }
}

/// Keys of an upstream that are about a choice of endpoints, or about connections to them.
pub(super) fn given(raw: &RawUpstream) -> [(&'static str, bool); 6] {
    [
        ("balance", raw.balance.is_some()),
        ("health", raw.health.is_some()),
        ("outlier-detection", raw.outlier_detection.is_some()),
        ("connect-timeout", raw.connect_timeout.is_some()),
        ("idle-timeout", raw.idle_timeout.is_some()),
        ("idle-connections", raw.idle_connections.is_some()),
    ]
}

fn is_empty_list(value: &serde_json::Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}
