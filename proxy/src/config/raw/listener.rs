//! The shape of a listener.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Brief, List, Main, RawHsts, RawHttp3, RawRedirect, RawTcp, RawTls};
use crate::config::model::ClientHeader;
use crate::config::written::{As, At, Mode, Network, Time};

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawListener {
    pub(in crate::config) name: Option<String>,
    pub(in crate::config) address: As<At>,
    pub(in crate::config) mode: Option<As<Mode>>,
    pub(in crate::config) proxy_protocol: Option<Brief<RawProxyProtocol>>,
    pub(in crate::config) trusted_proxies: Option<Brief<RawTrustedProxies>>,
    pub(in crate::config) tcp: Option<RawTcp>,
    pub(in crate::config) tls: Option<RawTls>,
    pub(in crate::config) redirect_to_https: Option<Brief<RawRedirect>>,
    pub(in crate::config) hsts: Option<Brief<RawHsts>>,
    pub(in crate::config) http3: Option<Brief<RawHttp3>>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawProxyProtocol {
    pub(in crate::config) from: List<As<Network>>,
    pub(in crate::config) timeout: Option<As<Time>>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawTrustedProxies {
    pub(in crate::config) from: List<As<Network>>,
    pub(in crate::config) header: Option<As<ClientHeader>>,
}

maps_only! {
    RawListener, "a map, as in `{ address: 127.0.0.1:8080 }`";
    RawProxyProtocol, "a map, as in `{ from: [10.0.0.0/8] }`";
    RawTrustedProxies, "a map, as in `{ from: [10.0.0.0/8] }`";
}

impl Main for RawProxyProtocol {
    type Value = List<As<Network>>;
    const WHAT: &'static str = "a list of networks, or `{ from: …, timeout: … }`";

    fn from_main(from: Self::Value) -> Self {
        Self { from, timeout: None }
    }
}

impl Main for RawTrustedProxies {
    type Value = List<As<Network>>;
    const WHAT: &'static str = "a list of networks, or `{ from: …, header: … }`";

    fn from_main(from: Self::Value) -> Self {
        Self { from, header: None }
    }
}
