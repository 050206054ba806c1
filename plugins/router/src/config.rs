//! The configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use gofe_plugin::config::{duration, one_or_many};
use serde::{Deserialize, Deserializer};

use crate::condition::Condition;
use crate::split::Key;

/// What stands under `config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The rules. The first that matches is applied.
    pub(crate) rules: Vec<RuleConfig>,
}

/// One rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RuleConfig {
    /// The rule's name in attributes and messages; its number where it has none.
    pub(crate) name: Option<String>,
    /// What must hold: one condition, or a list of which all must. Without, the rule matches always.
    #[serde(default, deserialize_with = "one_or_many")]
    pub(crate) when: Vec<Condition>,
    /// Where the request goes.
    pub(crate) upstream: Option<String>,
    /// To which of the upstream's endpoints.
    #[serde(default)]
    pub(crate) subset: BTreeMap<String, String>,
    /// Several targets, by weight, in the place of `upstream` and `subset`.
    #[serde(default)]
    pub(crate) split: Vec<TargetConfig>,
    /// What decides between the targets.
    #[serde(default)]
    pub(crate) by: Key,
    /// A cookie that keeps a client at its target.
    pub(crate) sticky: Option<StickyConfig>,
    /// How the path changes.
    pub(crate) rewrite: Option<RewriteConfig>,
    /// Headers that the upstream gets.
    #[serde(default)]
    pub(crate) set_headers: BTreeMap<String, String>,
    /// Whether the rules behind this one are looked at too.
    #[serde(default, rename = "continue")]
    pub(crate) goes_on: bool,
}

/// One target of a split.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TargetConfig {
    /// The target's name in attributes and cookies; the upstream's, or its number, where it has none.
    pub(crate) name: Option<String>,
    /// Its share of the sum of all weights.
    pub(crate) weight: u32,
    /// Where the request goes; the route's upstream where it is not given.
    pub(crate) upstream: Option<String>,
    /// To which of the upstream's endpoints.
    #[serde(default)]
    pub(crate) subset: BTreeMap<String, String>,
}

/// A cookie that keeps a client at its target.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct StickyConfig {
    /// The cookie's name.
    pub(crate) cookie: String,
    /// How long the client keeps it; until its session ends where it is not given.
    #[serde(default, deserialize_with = "some_duration")]
    pub(crate) max_age: Option<Duration>,
}

/// How the path changes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RewriteConfig {
    /// The beginning of the path that is replaced.
    pub(crate) prefix: String,
    /// What comes in its place; `{rest}` stands for what is behind the prefix.
    pub(crate) to: String,
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration::deserialize(deserializer).map(Some)
}
