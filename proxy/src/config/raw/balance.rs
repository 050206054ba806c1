//! The shape of the keys for balancing, discovery, health and outlier detection.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use http::Method;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Brief, List, Main, RawEndpoint};
use crate::config::model::{Records, SameSite};
use crate::config::written::{As, FieldName, FilePath, Initial, Percent, PolicyName, StatusRange, Time, WithPort};

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawBalance {
    pub(in crate::config) policy: Option<As<PolicyName>>,
    pub(in crate::config) key: Option<RawKey>,
    pub(in crate::config) points: Option<u64>,
    pub(in crate::config) table_size: Option<u64>,
    pub(in crate::config) decay: Option<As<Time>>,
    pub(in crate::config) slow_start: Option<As<Time>>,
    #[serde(default)]
    pub(in crate::config) prefer_zone: bool,
    pub(in crate::config) panic_threshold: Option<As<Percent>>,
    pub(in crate::config) subset_fallback: Option<RawFallback>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawKey {
    pub(in crate::config) header: Option<As<FieldName>>,
    pub(in crate::config) cookie: Option<Brief<RawCookie>>,
    pub(in crate::config) query: Option<String>,
    pub(in crate::config) client_address: Option<bool>,
    pub(in crate::config) attribute: Option<String>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawCookie {
    pub(in crate::config) name: String,
    pub(in crate::config) max_age: Option<As<Time>>,
    pub(in crate::config) path: Option<String>,
    #[serde(default)]
    pub(in crate::config) secure: bool,
    pub(in crate::config) http_only: Option<bool>,
    pub(in crate::config) same_site: Option<As<SameSite>>,
}

/// `none`, `any`, or the labels of the default subset.
pub(in crate::config) enum RawFallback {
    None,
    Any,
    Subset(BTreeMap<String, String>),
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawDiscovery {
    pub(in crate::config) dns: Option<Brief<RawDns>>,
    pub(in crate::config) file: Option<As<FilePath>>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawDns {
    pub(in crate::config) name: String,
    pub(in crate::config) port: Option<u64>,
    pub(in crate::config) records: Option<As<Records>>,
    pub(in crate::config) minimum_ttl: Option<As<Time>>,
    pub(in crate::config) maximum_ttl: Option<As<Time>>,
    #[serde(default)]
    pub(in crate::config) servers: List<As<SocketAddr>>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawHealth {
    pub(in crate::config) http: Option<Brief<RawHttpProbe>>,
    pub(in crate::config) grpc: Option<Brief<RawGrpcProbe>>,
    pub(in crate::config) tcp: Option<bool>,
    pub(in crate::config) port: Option<u64>,
    pub(in crate::config) interval: Option<As<Time>>,
    pub(in crate::config) timeout: Option<As<Time>>,
    pub(in crate::config) jitter: Option<As<Percent>>,
    pub(in crate::config) healthy_after: Option<u64>,
    pub(in crate::config) unhealthy_after: Option<u64>,
    pub(in crate::config) initial: Option<As<Initial>>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawHttpProbe {
    pub(in crate::config) path: String,
    pub(in crate::config) method: Option<As<Method>>,
    pub(in crate::config) host: Option<String>,
    #[serde(default)]
    pub(in crate::config) status: List<As<StatusRange>>,
    pub(in crate::config) body: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawGrpcProbe {
    pub(in crate::config) service: String,
    #[serde(skip)]
    pub(in crate::config) off: bool,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawOutliers {
    #[serde(rename = "consecutive-5xx")]
    pub(in crate::config) consecutive_5xx: Option<u64>,
    pub(in crate::config) consecutive_gateway_failure: Option<u64>,
    pub(in crate::config) success_rate: Option<Brief<RawSuccessRate>>,
    pub(in crate::config) latency: Option<Brief<RawLatency>>,
    pub(in crate::config) interval: Option<As<Time>>,
    pub(in crate::config) base_ejection_time: Option<As<Time>>,
    pub(in crate::config) max_ejection_time: Option<As<Time>>,
    pub(in crate::config) max_ejection_percent: Option<As<Percent>>,
    #[serde(skip)]
    pub(in crate::config) off: bool,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawSuccessRate {
    pub(in crate::config) stdev_factor: Option<u64>,
    pub(in crate::config) minimum_endpoints: Option<u64>,
    pub(in crate::config) minimum_requests: Option<u64>,
    #[serde(skip)]
    pub(in crate::config) off: bool,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawLatency {
    pub(in crate::config) factor: Option<u64>,
    pub(in crate::config) minimum_endpoints: Option<u64>,
    pub(in crate::config) minimum_requests: Option<u64>,
    #[serde(skip)]
    pub(in crate::config) off: bool,
}

/// A file of endpoints.
#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawEndpoints {
    pub(in crate::config) endpoints: List<Brief<RawEndpoint>>,
}

maps_only! {
    RawBalance, "a policy as in `least-request`, or a map as in `{ policy: maglev, key: { header: x-user } }`";
    RawKey, "a map, as in `{ header: x-user }`";
    RawCookie, "a name, or a map as in `{ name: session, max-age: 1h }`";
    RawDiscovery, "a map, as in `{ dns: users.internal:8080 }`";
    RawDns, "a name and a port as in `users.internal:8080`, or a map as in `{ name: …, records: srv }`";
    RawHealth, "a map, as in `{ http: /healthz, interval: 5s }`";
    RawHttpProbe, "a path as in `/healthz`, or a map as in `{ path: /healthz, status: [200] }`";
    RawGrpcProbe, "`true`, or a map as in `{ service: users.Users }`";
    RawOutliers, "`true`, or a map as in `{ consecutive-5xx: 5 }`";
    RawSuccessRate, "`true`, or a map as in `{ minimum-requests: 100 }`";
    RawLatency, "`true`, or a map as in `{ factor: 3 }`";
    RawEndpoints, "a map, as in `{ endpoints: [127.0.0.1:9000] }`";
}

impl Main for RawBalance {
    type Value = As<PolicyName>;
    const WHAT: &'static str =
        "a policy as in `least-request`, or a map as in `{ policy: maglev, key: { header: x-user } }`";

    fn from_main(policy: Self::Value) -> Self {
        Self {
            policy: Some(policy),
            key: None,
            points: None,
            table_size: None,
            decay: None,
            slow_start: None,
            prefer_zone: false,
            panic_threshold: None,
            subset_fallback: None,
        }
    }
}

impl Main for RawCookie {
    type Value = String;
    const WHAT: &'static str = "a name, or a map as in `{ name: session, max-age: 1h }`";

    fn from_main(name: String) -> Self {
        Self { name, max_age: None, path: None, secure: false, http_only: None, same_site: None }
    }
}

impl Main for RawDns {
    type Value = As<WithPort>;
    const WHAT: &'static str =
        "a name and a port as in `users.internal:8080`, or a map as in `{ name: …, records: srv }`";

    fn from_main(server: Self::Value) -> Self {
        let authority = server.0.0;
        Self {
            name: authority.host().to_owned(),
            port: authority.port_u16().map(u64::from),
            records: None,
            minimum_ttl: None,
            maximum_ttl: None,
            servers: Vec::new(),
        }
    }
}

impl Main for RawHttpProbe {
    type Value = String;
    const WHAT: &'static str = "a path as in `/healthz`, or a map as in `{ path: /healthz, status: [200] }`";

    fn from_main(path: String) -> Self {
        Self { path, method: None, host: None, status: Vec::new(), body: None }
    }
}

/// Maps that may be written as `true` for their defaults.
macro_rules! switches {
    ($($type:ty, $what:literal;)+) => {$(
        impl Main for $type {
            type Value = bool;
            const WHAT: &'static str = $what;

            fn from_main(on: bool) -> Self {
                Self { off: !on, ..Self::default() }
            }

            fn from_switch(on: bool) -> Option<Self> {
                Some(Self::from_main(on))
            }
        }
    )+};
}

switches! {
    RawGrpcProbe, "`true`, or a map as in `{ service: users.Users }`";
    RawOutliers, "`true`, or a map as in `{ consecutive-5xx: 5 }`";
    RawSuccessRate, "`true`, or a map as in `{ minimum-requests: 100 }`";
    RawLatency, "`true`, or a map as in `{ factor: 3 }`";
}

impl<'de> Deserialize<'de> for RawFallback {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FallbackVisitor;

        impl<'de> Visitor<'de> for FallbackVisitor {
            type Value = RawFallback;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`none`, `any`, or the labels of a subset as in `{ version: v1 }`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawFallback, E> {
                match text {
                    "none" => Ok(RawFallback::None),
                    "any" => Ok(RawFallback::Any),
                    _ => Err(E::custom("expected `none`, `any`, or the labels of a subset as in `{ version: v1 }`")),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<RawFallback, A::Error> {
                BTreeMap::deserialize(MapAccessDeserializer::new(entries)).map(RawFallback::Subset)
            }
        }

        deserializer.deserialize_any(FallbackVisitor)
    }
}
