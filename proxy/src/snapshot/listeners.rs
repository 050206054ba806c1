//! Listeners: certificates and keys are read, and what they do to requests is made ready.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderName;

use super::{Listener, Snapshot};
use crate::config::{Config, Diagnostic, Source};
use crate::http::edge::Edge;
use crate::net::{Finding, Tls};

/// Builds all listeners; what is wrong with their files goes to `errors`, what serves all the same to `warnings`.
pub(super) fn build(
    source: &Source,
    config: &Config,
    previous: Option<&Snapshot>,
    errors: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> BTreeMap<SocketAddr, Listener> {
    let mut listeners = BTreeMap::new();
    for (index, listener) in config.listeners.iter().enumerate() {
        let running = previous.and_then(|previous| previous.listeners.get(&listener.address)?.tls.as_deref());
        let mut findings = Vec::new();
        let tls = listener.tls.as_ref().and_then(|tls| Tls::load(tls, running, &mut findings));
        for finding in findings {
            let list = if finding.warning { &mut *warnings } else { &mut *errors };
            list.push(locate(source, index, finding));
        }
        let edge = Edge::new(listener).map(Arc::new);
        listeners.insert(listener.address, Listener { tls: tls.map(Arc::new), edge });
    }
    listeners
}

fn locate(source: &Source, listener: usize, finding: Finding) -> Diagnostic {
    let diagnostic = source.error(&format!("/listeners/{listener}/tls{}", finding.pointer), finding.message);
    let diagnostic = if finding.help.is_empty() { diagnostic } else { diagnostic.with_help(finding.help) };
    if finding.warning { diagnostic.as_warning() } else { diagnostic }
}

/// The headers that carry the identity of clients.
pub(super) fn identities(listeners: &BTreeMap<SocketAddr, Listener>) -> Vec<HeaderName> {
    let headers = listeners.values().filter_map(|listener| listener.tls.as_ref()?.header().cloned());
    let mut headers: Vec<_> = headers.collect();
    headers.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    headers.dedup();
    headers
}
