//! A component that serves as an upstream, as it is written.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Brief, Main, RawHttp};
use crate::config::written::{As, Digest, FilePath, Size, Time};

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawComponent {
    pub(in crate::config) source: As<FilePath>,
    pub(in crate::config) digest: Option<As<Digest>>,
    #[serde(default)]
    pub(in crate::config) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(in crate::config) limits: RawComponentLimits,
    #[serde(default)]
    pub(in crate::config) allow: RawComponentAllow,
    #[serde(default)]
    pub(in crate::config) reuse: RawReuse,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawComponentLimits {
    pub(in crate::config) time: Option<As<Time>>,
    pub(in crate::config) memory: Option<As<Size>>,
    pub(in crate::config) instances: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawComponentAllow {
    pub(in crate::config) http: Option<Brief<RawHttp>>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawReuse {
    pub(in crate::config) requests: Option<u64>,
    pub(in crate::config) concurrency: Option<u64>,
    pub(in crate::config) idle_timeout: Option<As<Time>>,
}

maps_only! {
    RawComponent, "a file as in `file:hello.wasm`, or a map as in `{ source: file:hello.wasm, reuse: { requests: 100 } }`";
    RawComponentLimits, "a map, as in `{ time: 100ms }`";
    RawComponentAllow, "a map, as in `{ http: [users.internal:8080] }`";
    RawReuse, "a map, as in `{ requests: 100 }`";
}

impl Main for RawComponent {
    type Value = As<FilePath>;
    const WHAT: &'static str =
        "a file as in `file:hello.wasm`, or a map as in `{ source: file:hello.wasm, reuse: { requests: 100 } }`";

    fn from_main(source: Self::Value) -> Self {
        Self {
            source,
            digest: None,
            environment: BTreeMap::new(),
            limits: RawComponentLimits::default(),
            allow: RawComponentAllow::default(),
            reuse: RawReuse::default(),
        }
    }
}
