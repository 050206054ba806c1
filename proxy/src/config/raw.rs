//! The file's own shape: what serde reads, with every single value already of its type.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;

use super::model::{
    Backend, Importance, InstanceMode, LogFormat, OnError, Output, PluginSource, Protocol, ProxyVersion,
};
use super::written::{As, Callee, Digest, LocalAddress, Place, Size, Status, Time, UpgradeTo};

/// A list; a hole is an item that was wrong and has been reported.
pub(super) type List<T> = Vec<Option<T>>;

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Raw {
    pub(super) workers: Option<u64>,
    pub(super) zone: Option<String>,
    pub(super) listeners: List<RawListener>,
    pub(super) admin: Option<RawAdmin>,
    pub(super) limits: RawClientLimits,
    pub(super) timeouts: RawClientTimeouts,
    pub(super) log: RawLog,
    pub(super) secrets: BTreeMap<String, RawSecret>,
    pub(super) plugins: BTreeMap<String, RawPlugin>,
    pub(super) chains: BTreeMap<String, List<String>>,
    pub(super) policies: BTreeMap<String, Value>,
    pub(super) routes: List<RawRoute>,
    pub(super) upstreams: BTreeMap<String, RawUpstream>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawAdmin {
    pub(super) address: Option<As<SocketAddr>>,
    pub(super) token: Option<RawSecret>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawClientLimits {
    pub(super) connections: Option<u64>,
    pub(super) connections_per_client: Option<u64>,
    pub(super) handshakes: Option<u64>,
    pub(super) header_size: Option<As<Size>>,
    pub(super) header_count: Option<u64>,
    pub(super) body_size: Option<As<Size>>,
    pub(super) streams: Option<u64>,
    pub(super) resets: Option<u64>,
    pub(super) body_rate: Option<As<Size>>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawClientTimeouts {
    pub(super) header_read: Option<As<Time>>,
    pub(super) idle: Option<As<Time>>,
    pub(super) body_grace: Option<As<Time>>,
    pub(super) drain: Option<As<Time>>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawLog {
    pub(super) filter: Option<String>,
    pub(super) format: Option<As<LogFormat>>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSecret {
    pub(super) env: Option<String>,
    pub(super) file: Option<String>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawPlugin {
    pub(super) source: As<PluginSource>,
    pub(super) digest: Option<As<Digest>>,
    pub(super) on_error: Option<As<OnError>>,
    pub(super) instance: Option<As<InstanceMode>>,
    #[serde(default)]
    pub(super) limits: RawPluginLimits,
    #[serde(default)]
    pub(super) allow: RawAllow,
    pub(super) vm: Option<RawVm>,
    #[serde(default)]
    pub(super) config: Value,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawPluginLimits {
    pub(super) time: Option<As<Time>>,
    pub(super) memory: Option<As<Size>>,
    pub(super) body: Option<As<Size>>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawAllow {
    pub(super) http: Option<Brief<RawHttp>>,
    pub(super) key_value: bool,
    pub(super) metrics: bool,
    pub(super) secrets: List<String>,
    pub(super) output: Option<As<Output>>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawHttp {
    pub(super) hosts: List<As<Callee>>,
    pub(super) timeout: Option<As<Time>>,
    pub(super) response_size: Option<As<Size>>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawRoute {
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) listeners: List<String>,
    pub(super) priority: Option<i64>,
    pub(super) policy: Option<String>,
    #[serde(default, rename = "match")]
    pub(super) matches: RawMatch,
    pub(super) chain: Option<String>,
    pub(super) upstream: Option<String>,
    #[serde(default)]
    pub(super) upstreams: List<RawChoice>,
    pub(super) sticky: Option<RawSticky>,
    pub(super) respond: Option<RawRespond>,
    pub(super) redirect: Option<RawRouteRedirect>,
    pub(super) rewrite: Option<RawRewrite>,
    pub(super) request_headers: Option<RawEdits>,
    pub(super) response_headers: Option<RawEdits>,
    pub(super) active_requests: Option<u64>,
    pub(super) fault: Option<RawFault>,
    pub(super) mirror: Option<RawMirror>,
    pub(super) fallback: Option<RawRouteFallback>,
    pub(super) timeout: Option<As<Time>>,
    pub(super) body_size: Option<As<Size>>,
    pub(super) retry: Option<RawRetry>,
    pub(super) hedge: Option<RawHedge>,
    pub(super) importance: Option<As<Importance>>,
    #[serde(default)]
    pub(super) upgrades: List<As<UpgradeTo>>,
    #[serde(default)]
    pub(super) grpc_web: bool,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawRespond {
    pub(super) status: Option<As<Status>>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Option<String>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawUpstream {
    #[serde(default)]
    pub(super) endpoints: List<Brief<RawEndpoint>>,
    pub(super) builtin: Option<As<Backend>>,
    pub(super) component: Option<Brief<RawComponent>>,
    pub(super) policy: Option<String>,
    pub(super) discovery: Option<RawDiscovery>,
    pub(super) balance: Option<Brief<RawBalance>>,
    pub(super) health: Option<RawHealth>,
    pub(super) outlier_detection: Option<Brief<RawOutliers>>,
    pub(super) protocol: Option<As<Protocol>>,
    pub(super) connect_timeout: Option<As<Time>>,
    pub(super) idle_timeout: Option<As<Time>>,
    pub(super) idle_connections: Option<u64>,
    pub(super) tls: Option<Brief<RawUpstreamTls>>,
    pub(super) proxy_protocol: Option<As<ProxyVersion>>,
    pub(super) local_address: Option<As<LocalAddress>>,
    pub(super) connection_age: Option<As<Time>>,
    pub(super) connection_requests: Option<u64>,
    pub(super) response_timeout: Option<As<Time>>,
    pub(super) response_idle_timeout: Option<As<Time>>,
    pub(super) retry: Option<RawRetry>,
    pub(super) retry_budget: Option<RawRetryBudget>,
    pub(super) hedge: Option<RawHedge>,
    pub(super) circuit_breaker: Option<RawBreaker>,
    pub(super) endpoint_circuit_breaker: Option<RawBreaker>,
    pub(super) limits: Option<RawSendLimits>,
    pub(super) adaptive_concurrency: Option<Brief<RawAdaptive>>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawEndpoint {
    pub(super) address: As<Place>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    pub(super) weight: Option<u64>,
    pub(super) priority: Option<u64>,
}

/// serde would also take a list for a structure, its fields in order; a file has maps there and nothing else.
macro_rules! maps_only {
    ($($type:ty, $what:literal;)+) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct MapVisitor;

                impl<'de> Visitor<'de> for MapVisitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }

                    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<$type, A::Error> {
                        <$type>::deserialize(MapAccessDeserializer::new(entries))
                    }
                }

                deserializer.deserialize_map(MapVisitor)
            }
        }
    )+};
}

maps_only! {
    Raw, "a map of settings";
    RawAdmin, "a map, as in `{ address: 127.0.0.1:9901 }`";
    RawClientLimits, "a map, as in `{ body-size: 10MiB }`";
    RawClientTimeouts, "a map, as in `{ idle: 60s }`";
    RawLog, "a map, as in `{ filter: info }`";
    RawSecret, "`{ env: NAME }` or `{ file: PATH }`";
    RawPlugin, "a map, as in `{ source: std:api-key }`";
    RawPluginLimits, "a map, as in `{ time: 5ms }`";
    RawAllow, "a map, as in `{ key-value: true }`";
    RawVm, "a map, as in `{ id: shared, config: … }`";
    RawHttp, "a map, as in `{ hosts: [users.internal:8080] }`";
    RawRoute, "a map, as in `{ match: { path: /api/** }, upstream: users }`";
    RawMatch, "a map, as in `{ path: /api/** }`";
    RawPath, "a map, as in `{ regex: '/users/[0-9]+' }`";
    RawValue, "a map, as in `{ prefix: v2 }`";
    RawRespond, "a map, as in `{ status: 404 }`";
    RawRouteRedirect, "a map, as in `{ path: /new }`";
    RawRewrite, "a map, as in `{ prefix: /v2 }`";
    RawEdits, "a map, as in `{ set: { x-a: v } }`";
    RawChoice, "a map, as in `{ upstream: v2, weight: 10 }`";
    RawSticky, "a map, as in `{ cookie: id }`";
    RawFault, "a map, as in `{ abort: { status: 503, percentage: 1 } }`";
    RawDelay, "a map, as in `{ time: 1s, percentage: 10 }`";
    RawAbort, "a map, as in `{ status: 503, percentage: 10 }`";
    RawMirror, "a map, as in `{ upstream: shadow, percentage: 10 }`";
    RawRouteFallback, "a map, as in `{ respond: { status: 503 } }`";
    RawUpstream, "a map, as in `{ endpoints: [127.0.0.1:9000] }`";
    RawEndpoint, "a map, as in `{ address: 127.0.0.1:9000 }`";
}

mod acme;
mod balance;
mod component;
mod early_data;
mod http3;
mod keys;
mod listener;
mod matching;
mod send;
mod tcp;
mod tls;
mod treatment;
mod vm;

pub(super) use acme::RawAcme;
pub(super) use balance::{
    RawBalance, RawCookie, RawDiscovery, RawDns, RawEndpoints, RawFallback, RawHealth, RawHttpProbe, RawKey,
    RawOutliers,
};
pub(super) use component::RawComponent;
pub(super) use early_data::RawEarlyData;
pub(super) use http3::RawHttp3;
pub(super) use keys::{route_keys, upstream_keys};
pub(super) use listener::{RawListener, RawProxyProtocol, RawTrustedProxies};
pub(super) use matching::{RawMatch, RawPath, RawValue};
pub(super) use send::{RawAdaptive, RawBreaker, RawHedge, RawRetry, RawRetryBudget, RawSendLimits, RawUpstreamTls};
pub(super) use tcp::RawTcp;
pub(super) use tls::{RawCertificate, RawClientCertificates, RawHsts, RawRedirect, RawTls};
pub(super) use treatment::{
    RawAbort, RawChoice, RawDelay, RawEdits, RawFault, RawMirror, RawPathRewrite, RawRewrite, RawRouteFallback,
    RawRouteRedirect, RawSticky, RawSubset,
};
pub(super) use vm::RawVm;

/// A map that may also be written as its main value alone.
pub(super) struct Brief<T>(pub(super) T);

/// How the main value alone is written.
pub(super) trait Main: de::DeserializeOwned {
    type Value: de::DeserializeOwned;
    const WHAT: &'static str;
    fn from_main(value: Self::Value) -> Self;

    /// The value for `true` or `false`, where there is such a form.
    fn from_switch(_on: bool) -> Option<Self> {
        None
    }
}

impl Main for RawEndpoint {
    type Value = As<Place>;
    const WHAT: &'static str = "a host and a port, as in `127.0.0.1:9000`, or `{ address: …, labels: … }`";

    fn from_main(address: As<Place>) -> Self {
        Self { address, labels: BTreeMap::new(), weight: None, priority: None }
    }
}

impl Main for RawHttp {
    type Value = List<As<Callee>>;
    const WHAT: &'static str = "a list of hosts, or `{ hosts: …, timeout: …, response-size: … }`";

    fn from_main(hosts: Self::Value) -> Self {
        Self { hosts, timeout: None, response_size: None }
    }
}

impl<'de, T: Main> Deserialize<'de> for Brief<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BriefVisitor(PhantomData))
    }
}

struct BriefVisitor<T>(PhantomData<T>);

impl<'de, T: Main> Visitor<'de> for BriefVisitor<T> {
    type Value = Brief<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<Self::Value, E> {
        T::from_switch(on).map(Brief).ok_or_else(|| E::invalid_type(Unexpected::Bool(on), &self))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        T::from_switch(true).map(Brief).ok_or_else(|| E::invalid_type(Unexpected::Unit, &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        T::Value::deserialize(StrDeserializer::new(text)).map(|value| Brief(T::from_main(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        T::Value::deserialize(SeqAccessDeserializer::new(items)).map(|value| Brief(T::from_main(value)))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(entries)).map(Brief)
    }
}
