//! How endpoints are chosen.

use std::time::Duration;

use super::{Check, DAY, HOUR, MILLISECOND};
use crate::config::model::{Balance, Fallback, HashKey, Policy, SameSite, SessionCookie, as_subset};
use crate::config::raw::{RawBalance, RawCookie, RawFallback, RawKey, RawUpstream};
use crate::config::source::child;
use crate::config::written::PolicyName;

impl Check<'_> {
    pub(super) fn balance(&mut self, at: &str, raw: &RawUpstream) -> Balance {
        let at = child(at, "balance");
        let Some(balance) = raw.balance.as_ref().map(|balance| &balance.0) else { return Balance::default() };
        let policy = self.policy(&at, balance);
        if policy.key().is_some() && balance.slow_start.is_some() {
            let message = format!("`slow-start` has no effect on `{}`", policy.name());
            self.key_error(&child(&at, "slow-start"), message);
        }
        let watched = raw.health.is_some() || raw.outlier_detection.as_ref().is_some_and(|outliers| !outliers.0.off);
        if balance.panic_threshold.is_some() && !watched {
            let message = "`panic-threshold` has no effect without `health` or `outlier-detection`";
            self.key_error(&child(&at, "panic-threshold"), message);
        }
        let slow_start = balance.slow_start.as_ref();
        Balance {
            slow_start: slow_start
                .map(|time| self.time(&child(&at, "slow-start"), Some(time), Duration::ZERO, MILLISECOND, HOUR)),
            zone: balance.prefer_zone.then(|| self.zone(&at)).flatten(),
            panic_threshold: balance.panic_threshold.as_ref().map_or(50, |percent| percent.0.0),
            fallback: match &balance.subset_fallback {
                None | Some(RawFallback::None) => Fallback::None,
                Some(RawFallback::Any) => Fallback::Any,
                Some(RawFallback::Subset(labels)) => {
                    if labels.is_empty() {
                        let message = "a subset has labels";
                        self.error_with_help(&child(&at, "subset-fallback"), message, "write `any` for all endpoints");
                    }
                    Fallback::Subset(as_subset(labels))
                }
            },
            policy,
        }
    }

    /// gofe's own zone, which endpoints may have too.
    fn zone(&mut self, at: &str) -> Option<String> {
        let zone = self.source.value().pointer("/zone").and_then(|zone| zone.as_str()).map(Into::into);
        if zone.is_none() && !self.written("/zone") {
            let message = "gofe does not know its own zone";
            self.error_with_help(&child(at, "prefer-zone"), message, "add `zone: NAME` at the top of the file");
        }
        zone
    }

    fn policy(&mut self, at: &str, raw: &RawBalance) -> Policy {
        let name = raw.policy.as_ref().map(|name| name.0).unwrap_or_default();
        let hashes = matches!(name, PolicyName::RingHash | PolicyName::Maglev);
        let given = [
            ("key", raw.key.is_some(), hashes),
            ("points", raw.points.is_some(), name == PolicyName::RingHash),
            ("table-size", raw.table_size.is_some(), name == PolicyName::Maglev),
            ("decay", raw.decay.is_some(), name == PolicyName::PeakEwma),
        ];
        for (key, _, _) in given.iter().filter(|(_, given, of_use)| *given && !of_use) {
            self.key_error(&child(at, key), format!("`{key}` has no effect on this policy"));
        }
        let key = if hashes { self.key(at, raw.key.as_ref()) } else { HashKey::Client };
        match name {
            PolicyName::RoundRobin => Policy::RoundRobin,
            PolicyName::LeastRequest => Policy::LeastRequest,
            PolicyName::Random => Policy::Random,
            PolicyName::PeakEwma => {
                let default = Duration::from_secs(10);
                let decay = self.time(&child(at, "decay"), raw.decay.as_ref(), default, MILLISECOND, HOUR);
                Policy::PeakEwma { decay }
            }
            PolicyName::RingHash => {
                let points = self.count(&child(at, "points"), raw.points, 256, 16, 1_024);
                Policy::RingHash { key, points }
            }
            PolicyName::Maglev => {
                let at = child(at, "table-size");
                let size = self.count(&at, raw.table_size, 65_537, 251, 5_000_011);
                if !is_prime(size) {
                    self.error_with_help(&at, format!("{size} is no prime number"), "the default is 65537");
                }
                Policy::Maglev { key, size }
            }
        }
    }

    fn key(&mut self, at: &str, raw: Option<&RawKey>) -> HashKey {
        let at = child(at, "key");
        let help = "write one of `header: NAME`, `cookie: NAME`, `query: NAME`, `client-address: true` and \
                    `attribute: NAME`";
        let Some(raw) = raw else {
            if !self.written(&at) {
                let parent = at.trim_end_matches("/key").to_owned();
                self.error_with_help(&parent, "this policy needs to know what to hash: `key` is missing", help);
            }
            return HashKey::Client;
        };
        for (key, text) in [("query", &raw.query), ("attribute", &raw.attribute)] {
            if text.as_deref() == Some("") {
                self.error(&child(&at, key), "the name is empty");
            }
        }
        let client = raw.client_address.unwrap_or_default().then_some(HashKey::Client);
        let mut found: Vec<HashKey> = Vec::new();
        found.extend(raw.header.as_ref().map(|name| HashKey::Header(name.0.0.clone())));
        found.extend(raw.cookie.as_ref().map(|cookie| HashKey::Cookie(self.cookie(&child(&at, "cookie"), &cookie.0))));
        found.extend(raw.query.clone().map(HashKey::Query));
        found.extend(client);
        found.extend(raw.attribute.clone().map(HashKey::Attribute));
        match (found.len(), self.keys(&at).len()) {
            (1, 1) => found.swap_remove(0),
            // One that is wrong has been reported.
            (0, 1) if raw.client_address.is_none() => HashKey::Client,
            _ => {
                self.error_with_help(&at, "a request has one key", help);
                HashKey::Client
            }
        }
    }

    fn cookie(&mut self, at: &str, raw: &RawCookie) -> SessionCookie {
        // RFC 6265, section 4.1.1.
        let token = |b: u8| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b);
        if raw.name.is_empty() || !raw.name.bytes().all(token) {
            self.error(at, format!("no cookie has the name `{}`", raw.name));
        }
        let path = raw.path.clone().unwrap_or_else(|| "/".to_owned());
        if !path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic() && b != b';') {
            self.error(&child(at, "path"), "this is no path");
        }
        let same_site = raw.same_site.as_ref().map(|same_site| same_site.0);
        if same_site == Some(SameSite::None) && !raw.secure {
            let message = "browsers refuse `same-site: none` without `secure: true`";
            self.error(&child(at, "same-site"), message);
        }
        let max_age = raw.max_age.as_ref();
        SessionCookie {
            name: raw.name.clone(),
            max_age: max_age.map(|time| {
                let (second, year) = (Duration::from_secs(1), DAY.0 * 400);
                let bounds = |duration| crate::config::written::Time(duration);
                self.time(&child(at, "max-age"), Some(time), second, bounds(second), bounds(year))
            }),
            path,
            secure: raw.secure,
            http_only: raw.http_only.unwrap_or(true),
            same_site,
        }
    }
}

fn is_prime(number: usize) -> bool {
    number > 1 && (2..).take_while(|n| n * n <= number).all(|n| !number.is_multiple_of(n))
}
