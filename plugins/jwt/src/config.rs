//! The configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use gofe_plugin::config::{duration, one_or_many, token};
use gofe_plugin::credential::{Place, is_token};
use gofe_plugin::{ConfigErrors, outbound, secrets};
use serde::Deserialize;

use crate::algorithm::Algorithm;
use crate::jwk::Jwk;
use crate::key::{Key, Material};
use crate::pem;
use crate::remote::Remote;

/// What stands under `config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Keys that are known beforehand.
    #[serde(default)]
    keys: Vec<KeyConfig>,
    /// Keys that somebody else publishes.
    jwks: Option<JwksConfig>,
    /// The algorithms that keys without a list of their own may be used with.
    algorithms: Option<Vec<Algorithm>>,
    /// The issuers that are trusted; empty for any.
    #[serde(default, deserialize_with = "one_or_many")]
    pub(crate) issuer: Vec<String>,
    /// The audiences that are ours; empty for any.
    #[serde(default, deserialize_with = "one_or_many")]
    pub(crate) audience: Vec<String>,
    /// By how much clocks may differ.
    #[serde(default = "default_leeway", with = "duration")]
    pub(crate) leeway: Duration,
    /// Claims that a token must have.
    #[serde(default = "default_require")]
    pub(crate) require: Vec<String>,
    /// Where to look, in this order.
    #[serde(default = "default_from", deserialize_with = "one_or_many")]
    pub(crate) from: Vec<Place>,
    /// Whether the upstream is not shown the token.
    #[serde(default)]
    pub(crate) hide_credential: bool,
    /// Header → claim.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Claims that become attributes.
    #[serde(default = "default_attributes")]
    pub(crate) attributes: Vec<String>,
    /// Whether a request without a token passes.
    #[serde(default)]
    pub(crate) optional: bool,
    /// The realm in `WWW-Authenticate`.
    #[serde(default = "default_realm")]
    pub(crate) realm: String,
}

/// A key: exactly one of `secret`, `value`, `pem` and `jwk`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct KeyConfig {
    /// The `kid` that it serves.
    id: Option<String>,
    /// The name of a secret that holds a shared secret, or a public key in PEM.
    secret: Option<String>,
    /// A shared secret.
    value: Option<String>,
    /// Whether the shared secret stands in base64.
    #[serde(default)]
    base64: bool,
    /// A public key.
    pem: Option<String>,
    /// A key as JSON.
    jwk: Option<Jwk>,
    /// The algorithms that it may be used with.
    algorithms: Option<Vec<Algorithm>>,
}

/// A set of keys: `keys` or `url`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct JwksConfig {
    /// The keys themselves.
    keys: Option<Vec<Jwk>>,
    /// Where they are published.
    url: Option<String>,
    /// How long they are fresh.
    #[serde(default = "default_refresh", with = "duration")]
    refresh: Duration,
    /// How long to wait for them.
    #[serde(default = "default_timeout", with = "duration")]
    timeout: Duration,
}

fn default_leeway() -> Duration {
    Duration::from_secs(60)
}

fn default_require() -> Vec<String> {
    vec!["exp".to_owned()]
}

fn default_from() -> Vec<Place> {
    vec![Place::Bearer]
}

fn default_attributes() -> Vec<String> {
    vec!["sub".to_owned()]
}

fn default_realm() -> String {
    "api".to_owned()
}

fn default_refresh() -> Duration {
    Duration::from_secs(600)
}

fn default_timeout() -> Duration {
    Duration::from_secs(5)
}

impl Config {
    /// The mistakes that types cannot tell.
    pub(crate) fn check(&self) -> ConfigErrors {
        let mut errors = ConfigErrors::none();
        if self.keys.is_empty() && self.jwks.is_none() {
            errors.push("", "there are no keys: give `keys` or `jwks`");
        }
        if self.algorithms.as_ref().is_some_and(Vec::is_empty) {
            errors.push("/algorithms", "the list is empty, so that no token could pass");
        }
        if self.from.is_empty() {
            errors.push("/from", "the list is empty, so that no token could be found");
        }
        for header in self.headers.keys().filter(|header| !is_token(header)) {
            errors.push(format!("/headers{}", token(header)), format!("`{header}` is not the name of a header"));
        }
        if self.realm.contains(|c: char| c == '"' || c == '\\' || c.is_control()) {
            errors.push("/realm", "a realm has no quotes, backslashes or control characters");
        }
        errors
    }

    /// The keys that are known beforehand.
    pub(crate) fn keys(&self) -> Result<Vec<Key>, ConfigErrors> {
        let mut errors = ConfigErrors::none();
        let mut keys = Vec::new();
        for (index, key) in self.keys.iter().enumerate() {
            match key.key(self.algorithms.as_deref()) {
                Ok(key) => keys.push(key),
                Err((place, message)) => errors.push(format!("/keys/{index}{place}"), message),
            }
        }
        let inline = self.jwks.iter().filter_map(|jwks| jwks.keys.as_ref()).flatten();
        for (index, jwk) in inline.enumerate() {
            match jwk.key(self.algorithms.as_deref()).and_then(long_enough) {
                Ok(key) => keys.push(key),
                Err(message) => errors.push(format!("/jwks/keys/{index}"), message),
            }
        }
        errors.into_result(keys)
    }

    /// The keys that somebody else publishes.
    pub(crate) fn remote(&self) -> Result<Option<Remote>, ConfigErrors> {
        let Some(jwks) = &self.jwks else {
            return Ok(None);
        };
        let url = match (&jwks.keys, &jwks.url) {
            (Some(_), None) => return Ok(None),
            (None, Some(url)) => url,
            _ => return Err(ConfigErrors::new("/jwks", "expected either `keys` or `url`")),
        };
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(ConfigErrors::new("/jwks/url", "expected an absolute `https` or `http` URL"));
        }
        if !outbound::allowed(url) {
            let message = "this host is not granted; name it under `allow: { http: [...] }`";
            return Err(ConfigErrors::new("/jwks/url", message));
        }
        if jwks.refresh < Duration::from_secs(1) {
            return Err(ConfigErrors::new("/jwks/refresh", "expected at least `1s`"));
        }
        Ok(Some(Remote::new(url.clone(), jwks.refresh, jwks.timeout, self.algorithms.clone())))
    }
}

/// Where in a key a mistake is, and what it is.
type Mistake = (&'static str, String);

impl KeyConfig {
    fn key(&self, allowed: Option<&[Algorithm]>) -> Result<Key, Mistake> {
        let allowed = self.algorithms.as_deref().or(allowed);
        let material = match (&self.secret, &self.value, &self.pem, &self.jwk) {
            (Some(name), None, None, None) => self.named(name).map_err(|message| ("/secret", message))?,
            (None, Some(text), None, None) => self.shared(text.as_bytes()).map_err(|message| ("/value", message))?,
            (None, None, Some(text), None) => pem::parse(text).map_err(|message| ("/pem", message))?,
            (None, None, None, Some(jwk)) => {
                let key = jwk.key(allowed).and_then(long_enough).map_err(|message| ("/jwk", message))?;
                return Ok(Key { id: self.id.clone().or(key.id), ..key });
            }
            _ => return Err(("", "expected one of `secret`, `value`, `pem` and `jwk`".to_owned())),
        };
        let algorithms =
            pin(&material, self.algorithms.as_deref(), allowed).map_err(|message| ("/algorithms", message))?;
        long_enough(Key { id: self.id.clone(), algorithms, material }).map_err(|message| ("", message))
    }

    fn named(&self, name: &str) -> Result<Material, String> {
        let secret = secrets::get(name)
            .map_err(|_| format!("the secret `{name}` is not granted; name it under `allow: {{ secrets: [...] }}`"))?;
        match std::str::from_utf8(&secret) {
            Ok(text) if text.trim_start().starts_with("-----BEGIN") => pem::parse(text),
            // Secrets that come from files end with a line feed that nobody meant.
            _ => self.shared(secret.trim_ascii_end()),
        }
    }

    fn shared(&self, secret: &[u8]) -> Result<Material, String> {
        if !self.base64 {
            return Ok(Material::Secret(secret.to_vec()));
        }
        let text = std::str::from_utf8(secret).unwrap_or_default();
        Base64::decode_vec(text).map(Material::Secret).map_err(|_| "the secret is not base64".to_owned())
    }
}

/// The algorithms of a key. One that is asked for by name must fit; without a list, it is the customary one.
fn pin(
    material: &Material,
    own: Option<&[Algorithm]>,
    allowed: Option<&[Algorithm]>,
) -> Result<Vec<Algorithm>, String> {
    let kind = material.kind();
    let served = kind.algorithms();
    if let Some(wrong) = own.and_then(|list| list.iter().find(|algorithm| !served.contains(algorithm))) {
        return Err(format!("{} cannot be used with {wrong:?}; expected some of {served:?}", kind.in_words()));
    }
    let Some(allowed) = allowed else {
        return Ok(served.iter().copied().take(1).collect());
    };
    let pinned: Vec<_> = allowed.iter().copied().filter(|algorithm| served.contains(algorithm)).collect();
    if pinned.is_empty() {
        return Err(format!("none of the allowed algorithms fits {}; expected some of {served:?}", kind.in_words()));
    }
    Ok(pinned)
}

/// A shared secret is at least as long as the hash (RFC 7518, section 3.2).
fn long_enough(key: Key) -> Result<Key, String> {
    let Material::Secret(secret) = &key.material else {
        return Ok(key);
    };
    let needed = |algorithm: &Algorithm| match algorithm {
        Algorithm::HS512 => 64,
        Algorithm::HS384 => 48,
        _ => 32,
    };
    match key.algorithms.iter().find(|algorithm| secret.len() < needed(algorithm)) {
        Some(short) => Err(format!(
            "a secret for {short:?} has at least {} bytes (RFC 7518, section 3.2), this one {}",
            needed(short),
            secret.len()
        )),
        None => Ok(key),
    }
}
