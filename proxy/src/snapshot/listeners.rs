//! Listeners: certificates and keys are read, and what they do to requests is made ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;

use super::{Listener, Passage, PluginEntry, Snapshot, Upstream};
use crate::config::{self, Address, Challenge, Config, Diagnostic, Source};
use crate::http::edge::Edge;
use crate::net::acme::{Acme, Answers};
use crate::net::{Finding, Tls};
use crate::route::Table;

/// The number of each listener by its address: one that there was keeps its own, so that its connections find their
/// routes in every configuration to come.
pub(super) fn numbers(config: &Config, previous: Option<&Snapshot>) -> BTreeMap<Address, usize> {
    let mut numbers = previous.map(|previous| previous.numbers.clone()).unwrap_or_default();
    for listener in &config.listeners {
        let next = numbers.len();
        numbers.entry(listener.address.clone()).or_insert(next);
    }
    numbers
}

/// A table for each listener that routes name, behind one for all others; and which is whose, by their numbers.
pub(super) fn tables(config: &Config, numbers: &BTreeMap<Address, usize>) -> (Vec<Table>, Vec<usize>) {
    let mut tables = vec![Table::build_where(&config.routes, |route| route.serves_on(None))];
    let mut table_of = vec![0; numbers.len()];
    for listener in &config.listeners {
        let Some(name) = &listener.name else { continue };
        if config.routes.iter().any(|route| route.listeners.contains(name)) {
            table_of[numbers[&listener.address]] = tables.len();
            tables.push(Table::build_where(&config.routes, |route| route.serves_on(Some(name))));
        }
    }
    (tables, table_of)
}

/// Builds all listeners; what is wrong with their files goes to `errors`, what serves all the same to `warnings`.
pub(super) fn build(
    source: &Source,
    config: &Config,
    previous: Option<&Snapshot>,
    numbers: &BTreeMap<Address, usize>,
    acme: &Acme,
    errors: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> BTreeMap<Address, Listener> {
    let mut listeners = BTreeMap::new();
    for (index, listener) in config.listeners.iter().enumerate() {
        let running = previous.and_then(|previous| previous.listeners.get(&listener.address)?.tls.as_deref());
        let mut findings = Vec::new();
        let tls = listener
            .tls
            .as_ref()
            .and_then(|tls| Tls::load(tls, tls.acme.as_ref().map(|config| acme.slot(config)), running, &mut findings));
        for finding in findings {
            let list = if finding.warning { &mut *warnings } else { &mut *errors };
            list.push(locate(source, index, finding));
        }
        let edge = Edge::new(listener).map(Arc::new);
        let built = Listener {
            number: numbers[&listener.address],
            proxy_protocol: listener.proxy_protocol.clone().map(Arc::new),
            trusted: listener.trusted_proxies.clone().map(Arc::new),
            passage: None,
            tls: tls.map(Arc::new),
            edge,
        };
        listeners.insert(listener.address.clone(), built);
    }
    listeners
}

fn locate(source: &Source, listener: usize, finding: Finding) -> Diagnostic {
    let diagnostic = source.error(&format!("/listeners/{listener}/tls{}", finding.pointer), finding.message);
    let diagnostic = if finding.help.is_empty() { diagnostic } else { diagnostic.with_help(finding.help) };
    if finding.warning { diagnostic.as_warning() } else { diagnostic }
}

/// Leads listeners that pass bytes to their upstreams, through the plugins of their chains.
pub(super) fn passages(
    config: &Config,
    upstreams: &BTreeMap<String, Upstream>,
    plugins: &BTreeMap<String, PluginEntry>,
    listeners: &mut BTreeMap<Address, Listener>,
) {
    for listener in &config.listeners {
        if let (Some(tcp), Some(built)) = (&listener.tcp, listeners.get_mut(&listener.address)) {
            let names = tcp.chain.as_ref().map_or(&[][..], |chain| &config.chains[chain]);
            let filters = names.iter().map(|name| plugins[name].step.clone()).collect();
            built.passage = Some(Arc::new(Passage::new(tcp, filters, |name| upstreams[name].clone())));
        }
    }
}

/// Finds plugins that are to see bytes and cannot.
pub(super) fn misfits(source: &Source, config: &Config, plugins: &BTreeMap<String, PluginEntry>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (index, listener) in config.listeners.iter().enumerate() {
        let Some(chain) = listener.tcp.as_ref().and_then(|tcp| tcp.chain.as_ref()) else { continue };
        let misfits = config.chains[chain].iter().filter_map(|name| Some((name, plugins.get(name)?)));
        for (name, plugin) in misfits.filter(|(_, plugin)| !plugin.step.filters_bytes()) {
            let abi = plugin.code.map_or("another ABI", |code| code.abi.name());
            let message = format!("the plugin `{name}` of this chain is of {abi}: only proxy-wasm plugins see bytes");
            found.push(source.error(&format!("/listeners/{index}/tcp/chain"), message));
        }
    }
    found
}

/// What authorities are answered in cleartext, where a certificate is got by it.
pub(super) fn answers(config: &Config, acme: &Acme) -> Option<Arc<Answers>> {
    let of = |listener: &config::Listener| Some(listener.tls.as_ref()?.acme.as_ref()?.challenge);
    config.listeners.iter().any(|listener| of(listener) == Some(Challenge::Http01)).then(|| acme.answers())
}

/// The headers that carry the identity of clients.
pub(super) fn identities(listeners: &BTreeMap<Address, Listener>) -> Vec<HeaderName> {
    let headers = listeners.values().filter_map(|listener| listener.tls.as_ref()?.header().cloned());
    let mut headers: Vec<_> = headers.collect();
    headers.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    headers.dedup();
    headers
}
