//! The shape of a route's `match`.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;

use super::{Brief, List, Main};
use crate::config::model::{HostPattern, PathPattern, Pattern};
use crate::config::written::{As, Network, Whole};

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawMatch {
    pub(in crate::config) path: Option<Brief<RawPath>>,
    pub(in crate::config) host: Option<As<HostPattern>>,
    pub(in crate::config) hosts: List<As<HostPattern>>,
    pub(in crate::config) methods: List<As<Method>>,
    pub(in crate::config) headers: BTreeMap<String, Brief<RawValue>>,
    pub(in crate::config) query: BTreeMap<String, Brief<RawValue>>,
    pub(in crate::config) cookies: BTreeMap<String, Brief<RawValue>>,
    pub(in crate::config) client_addresses: List<As<Network>>,
    pub(in crate::config) server_names: List<As<HostPattern>>,
}

/// A path, or an expression for it.
#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawPath {
    pub(in crate::config) regex: Option<As<Whole>>,
    #[serde(skip)]
    pub(in crate::config) plain: Option<PathPattern>,
}

/// A value's beginning, its end, or an expression for it.
#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawValue {
    pub(in crate::config) prefix: Option<String>,
    pub(in crate::config) suffix: Option<String>,
    pub(in crate::config) regex: Option<As<Whole>>,
    #[serde(skip)]
    pub(in crate::config) exact: Option<String>,
    #[serde(skip)]
    pub(in crate::config) present: Option<bool>,
}

impl RawPath {
    /// The expression, where there is one.
    pub(in crate::config) fn pattern(&self) -> Option<&Pattern> {
        self.regex.as_ref().map(|regex| &regex.0.0)
    }
}

impl Main for RawPath {
    type Value = As<PathPattern>;
    const WHAT: &'static str = "a path, as in `/a/b`, `/a/**` or `/a/{id}`, or `{ regex: … }`";

    fn from_main(path: As<PathPattern>) -> Self {
        Self { regex: None, plain: Some(path.0) }
    }
}

impl Main for RawValue {
    type Value = String;
    const WHAT: &'static str =
        "the value as a string in quotes, `true` for any value, `false` for none, or `{ prefix: … }`";

    fn from_main(exact: String) -> Self {
        Self { prefix: None, suffix: None, regex: None, exact: Some(exact), present: None }
    }

    fn from_switch(on: bool) -> Option<Self> {
        Some(Self { present: Some(on), exact: None, ..Self::from_main(String::new()) })
    }
}
