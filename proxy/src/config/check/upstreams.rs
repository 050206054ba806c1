//! Upstreams.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Check, DAY, MILLISECOND};
use crate::config::model::{Backend, Endpoint, Upstream};
use crate::config::raw::RawUpstream;
use crate::config::source::child;

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
        Upstream {
            backend: self.backend(at, raw),
            balance: raw.balance.as_ref().map(|balance| balance.0).unwrap_or_default(),
            protocol: raw.protocol.as_ref().map(|protocol| protocol.0).unwrap_or_default(),
            connect_timeout: self.time(
                &connect,
                raw.connect_timeout.as_ref(),
                Duration::from_secs(5),
                MILLISECOND,
                DAY,
            ),
            idle_timeout: self.time(&idle, raw.idle_timeout.as_ref(), Duration::from_secs(60), MILLISECOND, DAY),
            idle_connections: self.count(&child(at, "idle-connections"), raw.idle_connections, 128, 0, 65_535),
        }
    }

    fn backend(&mut self, at: &str, raw: &RawUpstream) -> Backend {
        let (endpoints, builtin) = (child(at, "endpoints"), child(at, "builtin"));
        match (self.written(&endpoints), self.written(&builtin)) {
            (true, true) => self.error(&builtin, "`endpoints` and `builtin` exclude each other"),
            (false, false) => self.error_with_help(at, "there are no endpoints", "write `endpoints: [HOST:PORT]`"),
            (true, false) if self.source.value().pointer(&endpoints).is_some_and(is_empty_list) => {
                self.error(&endpoints, "there are no endpoints");
            }
            _ => {}
        }
        match &raw.builtin {
            Some(builtin) => {
                self.useless(at, raw);
                builtin.0.clone()
            }
            None => Backend::Endpoints(self.endpoints(&endpoints, raw)),
        }
    }

    /// What a builtin upstream has no use for.
    fn useless(&mut self, at: &str, raw: &RawUpstream) {
        let given = [
            ("balance", raw.balance.is_some()),
            ("protocol", raw.protocol.is_some()),
            ("connect-timeout", raw.connect_timeout.is_some()),
            ("idle-timeout", raw.idle_timeout.is_some()),
            ("idle-connections", raw.idle_connections.is_some()),
        ];
        for (key, _) in given.iter().filter(|(_, given)| *given) {
            self.key_error(&child(at, key), format!("`{key}` has no effect on a builtin upstream"));
        }
    }

    fn endpoints(&mut self, at: &str, raw: &RawUpstream) -> Vec<Endpoint> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for (index, endpoint) in raw.endpoints.iter().enumerate() {
            let Some(endpoint) = endpoint.as_ref().map(|endpoint| &endpoint.0) else { continue };
            let authority = endpoint.address.0.0.clone();
            if endpoints.iter().any(|other| other.authority == authority) {
                self.error(&format!("{at}/{index}"), format!("{authority} is in this upstream twice"));
            }
            endpoints.push(Endpoint { authority, labels: endpoint.labels.clone() });
        }
        endpoints
    }
}

fn is_empty_list(value: &serde_json::Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}
