//! The VM of a proxy-wasm plugin as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "kebab-case", default)]
pub(in crate::config) struct RawVm {
    pub(in crate::config) id: Option<String>,
    pub(in crate::config) root_id: Option<String>,
    pub(in crate::config) config: serde_json::Value,
    pub(in crate::config) environment: BTreeMap<String, String>,
}
