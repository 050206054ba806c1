//! The configuration.

use gofe_plugin::ConfigErrors;
use gofe_plugin::config::one_or_many;
use serde::Deserialize;

use crate::key::Part;
use crate::rate::Rate;

/// What stands under `config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// What is counted apart: one word, or a list whose values are taken together.
    #[serde(default = "default_key", deserialize_with = "one_or_many")]
    pub(crate) key: Vec<Part>,
    /// What happens to a request that lacks a part of the key.
    #[serde(default)]
    pub(crate) missing_key: MissingKey,
    /// So many requests in so much time.
    pub(crate) rate: Rate,
    /// How requests are counted.
    #[serde(default)]
    pub(crate) algorithm: Algorithm,
    /// The most requests at once. Only for the token bucket; the rate's number where it is not given.
    pub(crate) burst: Option<u64>,
    /// The status of a refusal.
    #[serde(default = "default_status")]
    pub(crate) status: u16,
    /// Whether clients see `RateLimit-*` headers.
    #[serde(default = "yes")]
    pub(crate) headers: bool,
    /// Whether the limit is only logged and counted.
    #[serde(default)]
    pub(crate) shadow: bool,
}

/// How requests are counted.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Algorithm {
    /// A bucket that fills at the rate and holds a burst.
    #[default]
    TokenBucket,
    /// The requests of the last period, estimated from the counters of two fixed windows.
    SlidingWindow,
}

/// What happens to a request that lacks a part of the key.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MissingKey {
    /// It is counted by the client's address, so that leaving out a header escapes no limit.
    #[default]
    ClientIp,
    /// It shares one limit with all that lack it.
    Share,
    /// It is not limited.
    Skip,
    /// It is refused with 400.
    Reject,
}

fn default_key() -> Vec<Part> {
    vec![Part::ClientIp]
}

fn default_status() -> u16 {
    429
}

fn yes() -> bool {
    true
}

impl Config {
    /// The mistakes that types cannot tell.
    pub(crate) fn check(&self) -> ConfigErrors {
        let mut errors = ConfigErrors::none();
        if self.key.is_empty() {
            errors.push("/key", "the list is empty; for one limit that all share, say `key: route`");
        }
        if self.burst == Some(0) {
            errors.push("/burst", "a burst of 0 lets no request pass");
        }
        if self.burst.is_some() && self.algorithm == Algorithm::SlidingWindow {
            errors.push("/burst", "`burst` belongs to the algorithm `token-bucket`");
        }
        if !(400..600).contains(&self.status) {
            errors.push("/status", format!("{} is no status of an error; expected 400 to 599", self.status));
        }
        errors
    }
}
