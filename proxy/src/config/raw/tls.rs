//! The shape of a listener's HTTPS keys.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Brief, List, Main, RawAcme, RawEarlyData};
use crate::config::model::{Alpn, HostPattern, TlsVersion, Verify};
use crate::config::written::{As, FieldName, FilePath, RedirectStatus, Time};

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawTls {
    #[serde(default)]
    pub(in crate::config) certificates: List<RawCertificate>,
    pub(in crate::config) acme: Option<RawAcme>,
    pub(in crate::config) minimum_version: Option<As<TlsVersion>>,
    #[serde(default)]
    pub(in crate::config) alpn: List<As<Alpn>>,
    pub(in crate::config) client_certificates: Option<RawClientCertificates>,
    pub(in crate::config) early_data: Option<Brief<RawEarlyData>>,
    pub(in crate::config) handshake_timeout: Option<As<Time>>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawCertificate {
    pub(in crate::config) certificate: As<FilePath>,
    pub(in crate::config) private_key: As<FilePath>,
    pub(in crate::config) ocsp: Option<As<FilePath>>,
    #[serde(default)]
    pub(in crate::config) names: List<As<HostPattern>>,
}

#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::config) struct RawClientCertificates {
    pub(in crate::config) authorities: As<FilePath>,
    pub(in crate::config) verify: Option<As<Verify>>,
    pub(in crate::config) header: Option<As<FieldName>>,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawRedirect {
    pub(in crate::config) port: Option<u64>,
    pub(in crate::config) status: Option<As<RedirectStatus>>,
    #[serde(skip)]
    pub(in crate::config) off: bool,
}

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawHsts {
    pub(in crate::config) max_age: Option<As<Time>>,
    pub(in crate::config) include_subdomains: bool,
    pub(in crate::config) preload: bool,
    #[serde(skip)]
    pub(in crate::config) off: bool,
}

maps_only! {
    RawTls, "a map, as in `{ certificates: [{ certificate: file:site.pem, private-key: file:site.key }] }`";
    RawCertificate, "a map, as in `{ certificate: file:site.pem, private-key: file:site.key }`";
    RawClientCertificates, "a map, as in `{ authorities: file:ca.pem }`";
    RawRedirect, "`true`, or a map as in `{ port: 8443 }`";
    RawHsts, "`true`, or a map as in `{ max-age: 365d }`";
}

impl Main for RawRedirect {
    type Value = bool;
    const WHAT: &'static str = "`true`, or a map as in `{ port: 8443 }`";

    fn from_main(on: bool) -> Self {
        Self { off: !on, ..Self::default() }
    }

    fn from_switch(on: bool) -> Option<Self> {
        Some(Self::from_main(on))
    }
}

impl Main for RawHsts {
    type Value = bool;
    const WHAT: &'static str = "`true`, or a map as in `{ max-age: 365d }`";

    fn from_main(on: bool) -> Self {
        Self { off: !on, ..Self::default() }
    }

    fn from_switch(on: bool) -> Option<Self> {
        Some(Self::from_main(on))
    }
}
