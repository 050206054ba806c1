//! Which of several targets a request goes to.

use std::collections::BTreeMap;

use gofe_plugin::config::token;
use gofe_plugin::credential::is_token;
use gofe_plugin::{ConfigErrors, Error, Request, has_upstream, random};
use serde::{Deserialize, Deserializer, de};
use siphasher::sip::SipHasher13;

use crate::condition::Subject;
use crate::config::TargetConfig;

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    weight: u64,
    upstream: Option<String>,
    subset: Vec<(String, String)>,
}

impl Target {
    pub(crate) fn new(pointer: &str, index: usize, config: TargetConfig) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::none();
        if let Some(upstream) = config.upstream.as_ref().filter(|upstream| !has_upstream(upstream)) {
            errors.push(format!("{pointer}/upstream"), format!("there is no upstream `{upstream}`"));
        }
        check_labels(pointer, &config.subset, &mut errors);
        let name = config.name.or_else(|| config.upstream.clone()).unwrap_or_else(|| index.to_string());
        if !is_token(&name) {
            errors.push(format!("{pointer}/name"), format!("`{name}` has signs that a cookie cannot hold"));
        }
        errors.into_result(Self {
            name,
            weight: config.weight.into(),
            upstream: config.upstream,
            subset: config.subset.into_iter().collect(),
        })
    }

    /// Sends the request there.
    pub(crate) fn choose(&self, request: &Request) -> Result<(), Error> {
        if let Some(upstream) = &self.upstream {
            let refused = |error| Error::new(format!("the upstream `{upstream}` was not accepted: {error}"));
            request.set_upstream(upstream).map_err(refused)?;
        }
        if !self.subset.is_empty() {
            let refused = |error| Error::new(format!("the subset of target `{}` was not accepted: {error}", self.name));
            request.set_subset(&self.subset).map_err(refused)?;
        }
        Ok(())
    }
}

fn check_labels(pointer: &str, labels: &BTreeMap<String, String>, errors: &mut ConfigErrors) {
    for (name, value) in labels {
        if name.is_empty() || value.is_empty() {
            errors.push(format!("{pointer}/subset{}", token(name)), "a label has a name and a value");
        }
    }
}

/// What decides between the targets.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Key {
    /// Chance, anew for each request.
    #[default]
    Random,
    /// A hash, so that the same value always has the same target.
    Hash(Subject),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let subject = match text.split_once(':') {
            None if text == "random" => return Ok(Self::Random),
            None if text == "client-ip" => Some(Subject::ClientIp),
            None => None,
            Some((kind, name)) => Subject::named(kind, name),
        };
        let expected = "expected `random`, `client-ip`, `header:NAME`, `cookie:NAME`, `query:NAME`, `claim:NAME` or \
                        `attribute:NAME`";
        subject.map(Self::Hash).ok_or_else(|| de::Error::custom(format!("`{text}` cannot decide a split; {expected}")))
    }
}

/// Targets by weight.
#[derive(Debug)]
pub(crate) struct Split {
    targets: Vec<Target>,
    total: u64,
    key: Key,
    /// Makes the splits of different rules independent of each other.
    seed: u64,
}

impl Split {
    pub(crate) fn new(targets: Vec<Target>, key: Key, rule: &str) -> Self {
        let total = targets.iter().map(|target| target.weight).sum();
        Self { targets, total, key, seed: SipHasher13::new().hash(rule.as_bytes()) }
    }

    /// Whether no target has any weight, so that none could be chosen.
    pub(crate) fn is_weightless(&self) -> bool {
        self.total == 0
    }

    /// The target of this name. One without weight keeps no client.
    pub(crate) fn named(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == name && target.weight > 0)
    }

    /// The target of a request. Where what decides is missing, chance does.
    pub(crate) fn pick(&self, request: &Request) -> Option<&Target> {
        if let [only] = self.targets.as_slice() {
            return Some(only);
        }
        let value = match &self.key {
            Key::Random => None,
            Key::Hash(subject) => subject.value(request),
        };
        let point = match value {
            Some(value) => SipHasher13::new_with_keys(self.seed, 0).hash(&value),
            None => random::u64(),
        };
        self.at(point)
    }

    /// The target at a point of the whole range, in which each has a stretch as long as its weight. A change of the
    /// weights moves only those whose stretch moves.
    fn at(&self, point: u64) -> Option<&Target> {
        let scaled = (u128::from(point) * u128::from(self.total)) >> 64;
        let mut end = 0;
        self.targets.iter().find(|target| {
            end += u128::from(target.weight);
            scaled < end
        })
    }
}
