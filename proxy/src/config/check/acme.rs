//! Certificates that gofe gets by itself.

use std::time::Duration;

use serde_json::Value;

use super::{Check, MINUTE};
use crate::config::model::{Acme, Challenge, Config, HostPattern};
use crate::config::raw::RawAcme;
use crate::config::source::child;
use crate::config::written::Time;

/// The authority that is asked where the file does not say.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// The most names that authorities put into a certificate.
const MOST_NAMES: usize = 100;

impl Check<'_> {
    pub(super) fn acme(&mut self, at: &str, raw: &RawAcme) -> Acme {
        let names = self.acme_names(&child(at, "names"), raw);
        if !raw.agree_to_terms {
            let help = "read them, and write `agree-to-terms: true`";
            self.error_with_help(&child(at, "agree-to-terms"), "an authority asks that its terms be agreed to", help);
        }
        let (second, ten) = (Time(Duration::from_secs(1)), Time(Duration::from_secs(600)));
        Acme {
            directory: raw.directory.as_ref().map_or_else(|| LETS_ENCRYPT.to_owned(), |url| url.0.0.clone()),
            contact: raw.contact.iter().flatten().map(|contact| contact.0.0.clone()).collect(),
            names,
            authority: raw.authority.as_ref().map(|file| self.joined(file.0.0.clone())),
            storage: self.joined(raw.storage.0.0.clone()),
            challenge: raw.challenge.as_ref().map(|challenge| challenge.0).unwrap_or_default(),
            timeout: self.time(&child(at, "timeout"), raw.timeout.as_ref(), MINUTE.0 * 2, second, ten),
        }
    }

    fn acme_names(&mut self, at: &str, raw: &RawAcme) -> Vec<String> {
        let written = self.source.value().pointer(at).and_then(Value::as_array).map_or(0, Vec::len);
        if raw.names.is_empty() && written == 0 {
            self.error_with_help(at, "there is no name", "write `names: [example.com]`");
        }
        if written > MOST_NAMES {
            self.error(at, format!("there are {written} names: a certificate has {MOST_NAMES} at most"));
        }
        let mut names: Vec<String> = Vec::new();
        for (index, name) in raw.names.iter().enumerate() {
            let at = format!("{at}/{index}");
            match name.as_ref().map(|name| &name.0) {
                Some(HostPattern::Suffix(_)) => {
                    let help = "name each, or get the certificate by other means and write it under `certificates`";
                    self.error_with_help(&at, "a wildcard needs a challenge in DNS, which gofe does not do", help);
                }
                Some(HostPattern::Exact(name)) if name.starts_with('[') || name.parse::<std::net::IpAddr>().is_ok() => {
                    self.error(&at, "a certificate is for names, and this is an address");
                }
                Some(HostPattern::Exact(name)) if names.contains(name) => self.error(&at, "this name is here twice"),
                Some(HostPattern::Exact(name)) => names.push(name.clone()),
                None => {}
            }
        }
        names
    }

    /// Challenges that nobody could answer.
    pub(super) fn challenges(&mut self, config: &Config) {
        let cleartext = config.listeners.iter().any(|listener| listener.tls.is_none());
        // With a hole among the listeners, their numbers are not those of the file.
        let listeners = self.source.value().pointer("/listeners").and_then(Value::as_array).map_or(0, Vec::len);
        if cleartext || listeners != config.listeners.len() {
            return;
        }
        for (index, listener) in config.listeners.iter().enumerate() {
            let acme = listener.tls.as_ref().and_then(|tls| tls.acme.as_ref());
            if acme.is_some_and(|acme| acme.challenge == Challenge::Http01) {
                let at = format!("/listeners/{index}/tls/acme/challenge");
                let help = "add one on port 80, or write `challenge: tls-alpn-01`";
                self.error_with_help(&at, "http-01 is answered in cleartext, and no listener speaks it", help);
            }
        }
    }
}
