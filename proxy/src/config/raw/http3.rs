//! The shape of a listener's `http3`.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Main;

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawHttp3 {
    pub(in crate::config) advertised_port: Option<u64>,
    #[serde(skip)]
    pub(in crate::config) off: bool,
}

maps_only! {
    RawHttp3, "`true`, or a map as in `{ advertised-port: 443 }`";
}

impl Main for RawHttp3 {
    type Value = bool;
    const WHAT: &'static str = "`true`, or a map as in `{ advertised-port: 443 }`";

    fn from_main(on: bool) -> Self {
        Self { off: !on, ..Self::default() }
    }

    fn from_switch(on: bool) -> Option<Self> {
        Some(Self::from_main(on))
    }
}
