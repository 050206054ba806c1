//! The shape of the keys that say how requests are sent.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{List, Main};
use crate::config::model::{Condition, TlsVersion, VerifyServer, Window};
use crate::config::written::{As, FilePath, ServerName, Share, Size, Time};

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawUpstreamTls {
    pub(in crate::config) server_name: Option<As<ServerName>>,
    pub(in crate::config) authorities: Option<As<FilePath>>,
    pub(in crate::config) client_certificate: Option<RawClientCertificate>,
    pub(in crate::config) verify: Option<As<VerifyServer>>,
    pub(in crate::config) minimum_version: Option<As<TlsVersion>>,
    #[serde(skip)]
    pub(in crate::config) off: bool,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawClientCertificate {
    pub(in crate::config) certificate: As<FilePath>,
    pub(in crate::config) private_key: As<FilePath>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawRetry {
    pub(in crate::config) attempts: Option<u64>,
    pub(in crate::config) per_try_timeout: Option<As<Time>>,
    pub(in crate::config) on: List<As<Condition>>,
    pub(in crate::config) backoff: RawBackoff,
    pub(in crate::config) retry_after: Option<As<Time>>,
    pub(in crate::config) body_size: Option<As<Size>>,
    pub(in crate::config) non_idempotent: bool,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawBackoff {
    pub(in crate::config) base: Option<As<Time>>,
    pub(in crate::config) max: Option<As<Time>>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawRetryBudget {
    pub(in crate::config) share: Option<As<Share>>,
    pub(in crate::config) minimum: Option<u64>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawHedge {
    pub(in crate::config) delay: As<Time>,
    pub(in crate::config) requests: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawBreaker {
    pub(in crate::config) consecutive_failures: Option<u64>,
    pub(in crate::config) failure_rate: Option<As<Share>>,
    pub(in crate::config) slow_call_rate: Option<As<Share>>,
    pub(in crate::config) slow_call: Option<As<Time>>,
    pub(in crate::config) window: Option<As<Window>>,
    pub(in crate::config) minimum_calls: Option<u64>,
    pub(in crate::config) open_for: Option<As<Time>>,
    pub(in crate::config) probes: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawSendLimits {
    pub(in crate::config) connections: Option<u64>,
    pub(in crate::config) pending: Option<u64>,
    pub(in crate::config) requests: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawAdaptive {
    pub(in crate::config) minimum: Option<u64>,
    pub(in crate::config) maximum: Option<u64>,
    pub(in crate::config) tolerance: Option<As<Share>>,
    #[serde(skip)]
    pub(in crate::config) off: bool,
}

maps_only! {
    RawUpstreamTls, "`true`, or a map as in `{ authorities: file:ca.pem }`";
    RawClientCertificate, "a map, as in `{ certificate: file:gofe.pem, private-key: file:gofe.key }`";
    RawRetry, "a map, as in `{ attempts: 3, on: [connect-failure, 5xx] }`";
    RawBackoff, "a map, as in `{ base: 25ms, max: 250ms }`";
    RawRetryBudget, "a map, as in `{ share: 20% }`";
    RawHedge, "a map, as in `{ delay: 100ms }`";
    RawBreaker, "a map, as in `{ failure-rate: 50% }`";
    RawSendLimits, "a map, as in `{ requests: 1000 }`";
    RawAdaptive, "`true`, or a map as in `{ maximum: 500 }`";
}

impl Main for RawUpstreamTls {
    type Value = bool;
    const WHAT: &'static str = "`true`, or a map as in `{ authorities: file:ca.pem }`";

    fn from_main(on: bool) -> Self {
        Self { off: !on, ..Self::default() }
    }

    fn from_switch(on: bool) -> Option<Self> {
        Some(Self::from_main(on))
    }
}

impl Main for RawAdaptive {
    type Value = bool;
    const WHAT: &'static str = "`true`, or a map as in `{ maximum: 500 }`";

    fn from_main(on: bool) -> Self {
        Self { off: !on, ..Self::default() }
    }

    fn from_switch(on: bool) -> Option<Self> {
        Some(Self::from_main(on))
    }
}
