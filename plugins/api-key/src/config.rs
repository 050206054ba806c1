//! The configuration.

use std::collections::BTreeMap;

use gofe_plugin::ConfigErrors;
use gofe_plugin::config::one_or_many;
use gofe_plugin::credential::{Place, is_token};
use serde::Deserialize;

/// What stands under `config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Key → consumer. A key may stand as `sha256:` and the hexadecimal digest.
    #[serde(default)]
    pub(crate) keys: BTreeMap<String, String>,
    /// Name of the secret that holds the key → consumer.
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, String>,
    /// Where to look, in this order.
    #[serde(default = "default_from", deserialize_with = "one_or_many")]
    pub(crate) from: Vec<Place>,
    /// Whether the upstream is not shown the key.
    #[serde(default = "yes")]
    pub(crate) hide_credential: bool,
    /// The header that carries the consumer to the upstream; empty for none.
    #[serde(default = "default_consumer_header")]
    pub(crate) consumer_header: String,
    /// Whether a request without a key passes.
    #[serde(default)]
    pub(crate) optional: bool,
    /// The realm in `WWW-Authenticate`.
    #[serde(default = "default_realm")]
    pub(crate) realm: String,
}

fn default_from() -> Vec<Place> {
    vec![Place::Header("x-api-key".to_owned())]
}

fn yes() -> bool {
    true
}

fn default_consumer_header() -> String {
    "x-consumer".to_owned()
}

fn default_realm() -> String {
    "api".to_owned()
}

impl Config {
    /// The mistakes that types cannot tell.
    pub(crate) fn check(&self) -> ConfigErrors {
        let mut errors = ConfigErrors::none();
        if self.keys.is_empty() && self.secrets.is_empty() {
            errors.push("", "there are no keys: give `keys` (key: consumer) or `secrets` (secret's name: consumer)");
        }
        if self.from.is_empty() {
            errors.push("/from", "the list is empty, so that no key could be found");
        }
        if !self.consumer_header.is_empty() && !is_token(&self.consumer_header) {
            errors.push("/consumer-header", format!("`{}` is not the name of a header", self.consumer_header));
        }
        if self.realm.contains(|c: char| c == '"' || c == '\\' || c.is_control()) {
            errors.push("/realm", "a realm has no quotes, backslashes or control characters");
        }
        errors
    }
}
