//! Listeners: their addresses and names, and whom they believe.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::{Check, MILLISECOND};
use crate::config::model::{Address, Config, Listener, Networks, ProxyProtocol, TrustedProxies};
use crate::config::nearest;
use crate::config::raw::{List, RawListener, RawProxyProtocol, RawTrustedProxies};
use crate::config::source::child;
use crate::config::written::{As, Mode, Network, Time};

/// What a Unix socket's peers count as.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// A Unix socket is for gofe's own user and group.
const MODE: u32 = 0o660;

impl Check<'_> {
    pub(super) fn mode(&mut self, at: &str, raw: Option<&As<Mode>>, address: &Address) -> u32 {
        if self.written(at) && address.file().is_none() {
            self.key_error(at, "only a Unix socket has a `mode`");
        }
        raw.map_or(MODE, |mode| mode.0.0)
    }

    pub(super) fn proxy_protocol(&mut self, at: &str, raw: &RawProxyProtocol, address: &Address) -> ProxyProtocol {
        let from = self.networks(at, &raw.from);
        if address.file().is_some() && !from.0.is_empty() && !from.contains(LOCAL) {
            let help = "write `127.0.0.1`";
            self.error_with_help(at, "nobody could connect: a Unix socket's peers count as 127.0.0.1", help);
        }
        let (second, minute) = (Duration::from_secs(5), Time(Duration::from_secs(60)));
        let timeout = self.time(&child(at, "timeout"), raw.timeout.as_ref(), second, MILLISECOND, minute);
        ProxyProtocol { from, timeout }
    }

    pub(super) fn trusted_proxies(&mut self, at: &str, raw: &RawTrustedProxies) -> TrustedProxies {
        let header = raw.header.as_ref().map(|header| header.0).unwrap_or_default();
        TrustedProxies { from: self.networks(at, &raw.from), header }
    }

    fn networks(&mut self, at: &str, raw: &List<As<Network>>) -> Networks {
        if raw.is_empty() {
            self.error_with_help(at, "there is no network", "write a list, as in `[10.0.0.0/8]`");
        }
        Networks(raw.iter().flatten().map(|network| network.0.0).collect())
    }

    /// The names of listeners, each there once.
    pub(super) fn listener_names(&mut self, listeners: &List<RawListener>) {
        let mut seen: HashMap<&str, String> = HashMap::new();
        for (index, raw) in listeners.iter().enumerate() {
            let Some(name) = raw.as_ref().and_then(|raw| raw.name.as_deref()) else { continue };
            let at = format!("/listeners/{index}/name");
            match seen.get(name) {
                Some(first) => {
                    let first = self.source.locate(first);
                    self.error(&at, format!("`{name}` is the name of the listener at {first}"));
                }
                None => _ = seen.insert(name, at),
            }
        }
    }

    /// The listeners that a route names.
    pub(super) fn route_listeners(&mut self, at: &str, names: &List<String>) -> Vec<String> {
        if names.is_empty() && self.source.value().pointer(at).is_some_and(serde_json::Value::is_array) {
            self.error(at, "the list is empty: leave `listeners` out to serve on all");
        }
        let listeners = self.source.value().pointer("/listeners").and_then(|value| value.as_array());
        let known = listeners.into_iter().flatten().filter_map(|listener| listener.get("name")?.as_str());
        let known: Vec<String> = known.map(str::to_owned).collect();
        for (index, name) in names.iter().enumerate() {
            let Some(name) = name.as_ref().filter(|name| !known.contains(name)) else { continue };
            let help = match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => "give a listener a name, as in `name: internal`".to_owned(),
                None => format!("there are {}", known.join(", ")),
            };
            self.error_with_help(&format!("{at}/{index}"), format!("there is no listener `{name}`"), help);
        }
        let mut names: Vec<String> = names.iter().flatten().cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    /// Addresses that are there twice. Port 0 takes a free port each time.
    pub(super) fn addresses(&mut self, config: &Config) {
        let listeners = self.source.value().pointer("/listeners").and_then(|value| value.as_array());
        // With a hole among the listeners, their numbers are not those of the file.
        if listeners.is_none_or(|listeners| listeners.len() != config.listeners.len()) {
            return;
        }
        for (index, listener) in config.listeners.iter().enumerate() {
            let other = |other: &&Listener| other.address == listener.address && *other != listener;
            if listener.address.takes_any_port() && config.listeners[..index].iter().any(|l| other(&l)) {
                let message = format!("another listener on {} has other options", listener.address);
                let help = "give each a port, or an IP address of its own";
                self.error_with_help(&format!("/listeners/{index}/address"), message, help);
            }
        }
        let mut seen: BTreeMap<Address, String> = BTreeMap::new();
        let listeners =
            config.listeners.iter().enumerate().map(|(i, l)| (l.address.clone(), format!("/listeners/{i}/address")));
        let admin = config.admin.iter().map(|admin| (Address::Ip(admin.address), "/admin/address".to_owned()));
        for (address, at) in listeners.chain(admin).filter(|(address, _)| !address.takes_any_port()) {
            match seen.get(&address) {
                Some(first) => {
                    let first = self.source.locate(first);
                    self.error(&at, format!("{address} is taken already at {first}"));
                }
                None => _ = seen.insert(address, at),
            }
        }
    }
}
