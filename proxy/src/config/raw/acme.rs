//! The shape of a certificate that gofe gets by itself.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::List;
use crate::config::model::{Challenge, HostPattern};
use crate::config::written::{As, Contact, Directory, FilePath, Time};

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawAcme {
    pub(in crate::config) directory: Option<As<Directory>>,
    #[serde(default)]
    pub(in crate::config) contact: List<As<Contact>>,
    pub(in crate::config) names: List<As<HostPattern>>,
    pub(in crate::config) authority: Option<As<FilePath>>,
    pub(in crate::config) storage: As<FilePath>,
    pub(in crate::config) challenge: Option<As<Challenge>>,
    pub(in crate::config) agree_to_terms: bool,
    pub(in crate::config) timeout: Option<As<Time>>,
}

maps_only! {
    RawAcme, "a map, as in `{ names: [example.com], storage: file:acme, agree-to-terms: true }`";
}
