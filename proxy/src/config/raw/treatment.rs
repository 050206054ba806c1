//! The shape of what a route does to its requests and responses.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Brief, List, RawRespond, RawValue};
use crate::config::written::{As, FieldName, Found, Percentage, RedirectStatus, Scheme, Size, Status, Time};

/// Labels of endpoints.
pub(in crate::config) type RawSubset = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawRouteRedirect {
    pub(in crate::config) status: Option<As<RedirectStatus>>,
    pub(in crate::config) scheme: Option<As<Scheme>>,
    pub(in crate::config) host: Option<String>,
    pub(in crate::config) port: Option<u64>,
    pub(in crate::config) path: Option<String>,
    pub(in crate::config) prefix: Option<String>,
    pub(in crate::config) regex: Option<As<Found>>,
    pub(in crate::config) replacement: Option<String>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawRewrite {
    pub(in crate::config) host: Option<String>,
    pub(in crate::config) path: Option<String>,
    pub(in crate::config) prefix: Option<String>,
    pub(in crate::config) regex: Option<As<Found>>,
    pub(in crate::config) replacement: Option<String>,
}

/// How a redirect and a rewrite name another path.
pub(in crate::config) struct RawPathRewrite<'a> {
    pub(in crate::config) path: Option<&'a String>,
    pub(in crate::config) prefix: Option<&'a String>,
    pub(in crate::config) regex: Option<&'a As<Found>>,
    pub(in crate::config) replacement: Option<&'a String>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawEdits {
    pub(in crate::config) remove: List<As<FieldName>>,
    pub(in crate::config) set: BTreeMap<String, String>,
    pub(in crate::config) add: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawChoice {
    pub(in crate::config) upstream: String,
    pub(in crate::config) weight: Option<u64>,
    #[serde(default)]
    pub(in crate::config) subset: RawSubset,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawSticky {
    pub(in crate::config) cookie: Option<String>,
    pub(in crate::config) header: Option<As<FieldName>>,
    pub(in crate::config) client_address: bool,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawFault {
    pub(in crate::config) delay: Option<RawDelay>,
    pub(in crate::config) abort: Option<RawAbort>,
    #[serde(default)]
    pub(in crate::config) headers: BTreeMap<String, Brief<RawValue>>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawDelay {
    pub(in crate::config) time: As<Time>,
    pub(in crate::config) percentage: Option<As<Percentage>>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawAbort {
    pub(in crate::config) status: As<Status>,
    pub(in crate::config) percentage: Option<As<Percentage>>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawMirror {
    pub(in crate::config) upstream: String,
    #[serde(default)]
    pub(in crate::config) subset: RawSubset,
    pub(in crate::config) percentage: Option<As<Percentage>>,
    pub(in crate::config) body_size: Option<As<Size>>,
    pub(in crate::config) active_requests: Option<u64>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawRouteFallback {
    #[serde(default)]
    pub(in crate::config) statuses: List<As<Status>>,
    pub(in crate::config) respond: Option<RawRespond>,
    pub(in crate::config) upstream: Option<String>,
    pub(in crate::config) chain: Option<String>,
}
