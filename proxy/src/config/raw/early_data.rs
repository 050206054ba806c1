//! The shape of `early-data`, in a listener's `tls`.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Main;
use crate::config::written::{As, Size};

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawEarlyData {
    pub(in crate::config) size: Option<As<Size>>,
    pub(in crate::config) sessions: Option<u64>,
    #[serde(skip)]
    pub(in crate::config) off: bool,
}

maps_only! {
    RawEarlyData, "`true`, or a map as in `{ size: 16KiB }`";
}

impl Main for RawEarlyData {
    type Value = bool;
    const WHAT: &'static str = "`true`, or a map as in `{ size: 16KiB }`";

    fn from_main(on: bool) -> Self {
        Self { off: !on, ..Self::default() }
    }

    fn from_switch(on: bool) -> Option<Self> {
        Some(Self::from_main(on))
    }
}
