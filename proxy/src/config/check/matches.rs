//! What a route's `match` says.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};

use super::Check;
use crate::config::model::{Match, PathPattern, ValueMatch};
use crate::config::raw::{Brief, RawMatch, RawPath, RawValue};
use crate::config::source::child;

impl Check<'_> {
    pub(super) fn matches(&mut self, at: &str, raw: &RawMatch) -> Match {
        for key in ["hosts", "methods", "client-addresses", "server-names"] {
            let list = self.source.value().pointer(&child(at, key)).and_then(|value| value.as_array());
            if list.is_some_and(Vec::is_empty) {
                self.error(&child(at, key), format!("the list is empty: leave `{key}` out to take all"));
            }
        }
        if raw.host.is_some() && self.written(&child(at, "hosts")) {
            self.error(&child(at, "host"), "`host` and `hosts` exclude each other");
        }
        let hosts = raw.host.iter().chain(raw.hosts.iter().flatten()).map(|host| host.0.clone());
        let methods = raw.methods.iter().flatten().map(|method| method.0.clone());
        let names = raw.server_names.iter().flatten().map(|name| name.0.clone());
        let networks = raw.client_addresses.iter().flatten().map(|network| network.0.0);
        Match {
            hosts: sorted(hosts, Clone::clone),
            path: self.path(&child(at, "path"), raw.path.as_ref().map(|path| &path.0)),
            methods: sorted(methods, |method| method.as_str().to_owned()),
            headers: self.headers(&child(at, "headers"), &raw.headers),
            query: self.named(&child(at, "query"), &raw.query),
            cookies: self.cookies(&child(at, "cookies"), &raw.cookies),
            client_addresses: sorted(networks, |network| *network),
            server_names: sorted(names, Clone::clone),
        }
    }

    fn path(&mut self, at: &str, raw: Option<&RawPath>) -> PathPattern {
        let Some(raw) = raw else { return PathPattern::Prefix(String::new()) };
        if let Some(path) = &raw.plain {
            return path.clone();
        }
        let at_regex = child(at, "regex");
        let Some(pattern) = raw.pattern() else {
            let help = "write `{ regex: '/users/[0-9]+' }`, or a path as a string";
            self.empty_map(at, help);
            return PathPattern::Prefix(String::new());
        };
        if pattern.text().trim_start_matches('^').starts_with(|c: char| c.is_alphanumeric()) {
            let help = "all of the path must match; write `/…`, or `.*` in front";
            self.error_with_help(&at_regex, "this never matches: a path begins with `/`", help);
        }
        PathPattern::Regex(pattern.clone())
    }

    pub(super) fn headers(
        &mut self,
        at: &str,
        raw: &BTreeMap<String, Brief<RawValue>>,
    ) -> Vec<(HeaderName, ValueMatch)> {
        let mut headers: Vec<(HeaderName, ValueMatch)> = Vec::new();
        for (text, wanted) in raw {
            let at = child(at, text);
            let wanted = self.wanted(&at, &wanted.0);
            let possible = |text: &str| HeaderValue::from_str(text).is_ok() && text.trim() == text;
            if matches!(&wanted, ValueMatch::Exact(text) if !possible(text)) {
                self.error(&at, "no header field has this value");
            }
            match HeaderName::from_bytes(text.as_bytes()) {
                Ok(name) if headers.iter().any(|(other, _)| *other == name) => {
                    self.key_error(&at, format!("`{name}` is here twice"));
                }
                Ok(name) => headers.push((name, wanted)),
                Err(_) => self.key_error(&at, "no header field has this name"),
            }
        }
        headers
    }

    fn cookies(&mut self, at: &str, raw: &BTreeMap<String, Brief<RawValue>>) -> Vec<(String, ValueMatch)> {
        for name in raw.keys() {
            // RFC 6265, section 4.1.1: a cookie's name is a token, as a header field's is.
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                self.key_error(&child(at, name), "no cookie has this name");
            }
        }
        self.named(at, raw)
    }

    fn named(&mut self, at: &str, raw: &BTreeMap<String, Brief<RawValue>>) -> Vec<(String, ValueMatch)> {
        raw.iter().map(|(name, wanted)| (name.clone(), self.wanted(&child(at, name), &wanted.0))).collect()
    }

    pub(super) fn empty_map(&mut self, at: &str, help: &str) {
        // A key that is unknown or wrong is reported already.
        if self.keys(at).is_empty() {
            self.error_with_help(at, "the map is empty", help);
        }
    }

    fn wanted(&mut self, at: &str, raw: &RawValue) -> ValueMatch {
        let keys = ["prefix", "suffix", "regex"];
        let written: Vec<&str> = keys.into_iter().filter(|key| self.written(&child(at, key))).collect();
        let plain = raw.exact.is_some() || raw.present.is_some();
        if let [_, second, ..] = written[..] {
            self.error(&child(at, second), format!("`{}` and `{second}` exclude each other", written[0]));
        } else if !plain {
            self.empty_map(at, "write `prefix`, `suffix` or `regex`, or `true` for any value");
        }
        for (key, text) in [("prefix", &raw.prefix), ("suffix", &raw.suffix)] {
            if text.as_ref().is_some_and(String::is_empty) {
                self.error_with_help(&child(at, key), "the text is empty", "write `true` for any value");
            }
        }
        match raw {
            RawValue { exact: Some(text), .. } => ValueMatch::Exact(text.clone()),
            RawValue { prefix: Some(text), .. } => ValueMatch::Prefix(text.clone()),
            RawValue { suffix: Some(text), .. } => ValueMatch::Suffix(text.clone()),
            RawValue { regex: Some(regex), .. } => ValueMatch::Regex(regex.0.0.clone()),
            RawValue { present: Some(false), .. } => ValueMatch::Absent,
            _ => ValueMatch::Present,
        }
    }
}

/// Items in order, each once.
fn sorted<T, K: Ord>(items: impl Iterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_by_key(&key);
    items.dedup_by_key(|item| key(item));
    items
}
