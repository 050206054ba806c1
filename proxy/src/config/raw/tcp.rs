//! The shape of a listener that passes bytes.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::List;
use crate::config::model::HostPattern;
use crate::config::written::{As, Time};

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawTcp {
    pub(in crate::config) upstream: Option<String>,
    #[serde(default)]
    pub(in crate::config) server_names: List<RawServerName>,
    pub(in crate::config) idle_timeout: Option<As<Time>>,
    pub(in crate::config) chain: Option<String>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawServerName {
    pub(in crate::config) names: List<As<HostPattern>>,
    pub(in crate::config) upstream: String,
}

maps_only! {
    RawTcp, "a map, as in `{ upstream: database }`";
    RawServerName, "a map, as in `{ names: [db.example.com], upstream: database }`";
}
