//! Which certificate a client gets: the one for the name that it asks for (RFC 6066, section 3).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Loaded;
use super::{Finding, PROOF};
use crate::net::acme::Slot;

/// Certificates by name. One name may have several, with keys of different kinds.
pub(super) struct Resolver {
    /// Names as they are, and below `*.` without it.
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    below: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// For clients that name no server, or one that is not here: the first certificate, and those that share a name
    /// with it.
    default: Vec<Arc<CertifiedKey>>,
    /// The certificate that gofe gets by itself.
    acme: Option<Arc<Slot>>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("names", &(self.exact.len() + self.below.len())).finish_non_exhaustive()
    }
}

impl Resolver {
    pub(super) fn new(certificates: Vec<Loaded>, acme: Option<Arc<Slot>>, found: &mut Vec<Finding>) -> Self {
        let mut resolver = Self { exact: HashMap::new(), below: HashMap::new(), default: Vec::new(), acme };
        let first = certificates.first().map(|first| (first.key.clone(), first.names.first().cloned()));
        for (index, Loaded { key, names }) in certificates.into_iter().enumerate() {
            for name in names {
                let keys = resolver.of(&name);
                if keys.iter().any(|other| other.key.algorithm() == key.key.algorithm()) {
                    let message = format!("`{name}` has a certificate already: this one is not used for it");
                    found.push(Finding::warning(&format!("/certificates/{index}"), message));
                } else {
                    keys.push(key.clone());
                }
            }
        }
        if let Some((key, name)) = first {
            let shared = name.map(|name| resolver.of(&name).clone());
            resolver.default = shared.unwrap_or_else(|| vec![key]);
        }
        resolver
    }

    /// The certificates of a name as a certificate writes it.
    fn of(&mut self, name: &str) -> &mut Vec<Arc<CertifiedKey>> {
        match name.strip_prefix("*.") {
            Some(suffix) => self.below.entry(suffix.to_owned()).or_default(),
            None => self.exact.entry(name.to_owned()).or_default(),
        }
    }

    fn find(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(name) = name else { return &self.default };
        let lower;
        let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower = name.to_ascii_lowercase();
            &lower
        } else {
            name
        };
        let below = || self.below.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(below).unwrap_or(&self.default)
    }

    pub(super) fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let of_acme = self.acme.as_ref().filter(|acme| match name {
            Some(name) => acme.is_for(name) || (self.default.is_empty() && self.find(Some(name)).is_empty()),
            None => self.default.is_empty(),
        });
        if let Some(key) = of_acme.and_then(|acme| acme.current()) {
            return Some(key);
        }
        let keys = self.find(name);
        keys.iter().find(|key| key.key.choose_scheme(schemes).is_some()).or(keys.first()).cloned()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // One that asks for this protocol and no other is an authority, and gets no certificate but its own.
        if hello.alpn().is_some_and(|mut protocols| protocols.next() == Some(PROOF) && protocols.next().is_none()) {
            return self.acme.as_ref()?.proof(hello.server_name()?);
        }
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}
