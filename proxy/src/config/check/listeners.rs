//! Listeners: TLS, and what they do about HTTPS.

use std::time::Duration;

use http::header::HOST;
use http::{HeaderName, StatusCode};
use serde_json::Value;

use super::{Check, MILLISECOND, MINUTE};
use crate::config::model::{Address, Alpn, Certificate, ClientCertificates, Hsts, Listener, Redirect, Tls};
use crate::config::raw::{List, RawCertificate, RawClientCertificates, RawHsts, RawListener, RawRedirect, RawTls};
use crate::config::source::child;
use crate::config::written::Time;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl Check<'_> {
    pub(super) fn listeners(&mut self, listeners: &List<RawListener>) -> Vec<Listener> {
        if listeners.is_empty() && self.source.value().pointer("/listeners").is_none_or(Value::is_array) {
            let example = "write `listeners: [{ address: 127.0.0.1:8080 }]`";
            self.error_with_help("/listeners", "there is no listener", example);
        }
        let listeners = listeners.iter().enumerate();
        listeners.filter_map(|(i, raw)| Some(self.listener(&format!("/listeners/{i}"), raw.as_ref()?))).collect()
    }

    fn listener(&mut self, at: &str, raw: &RawListener) -> Listener {
        let (tls, redirect, hsts) = (child(at, "tls"), child(at, "redirect-to-https"), child(at, "hsts"));
        if let Some(name) = &raw.name {
            self.name(&child(at, "name"), name);
        }
        let address = match &raw.address.0.0 {
            Address::Unix(path) => Address::Unix(self.joined(path.clone())),
            ip => ip.clone(),
        };
        let listener = Listener {
            http3: self.http3(at, raw, &address),
            name: raw.name.clone(),
            mode: self.mode(&child(at, "mode"), raw.mode.as_ref(), &address),
            proxy_protocol: raw
                .proxy_protocol
                .as_ref()
                .map(|raw| self.proxy_protocol(&child(at, "proxy-protocol"), &raw.0, &address)),
            trusted_proxies: raw
                .trusted_proxies
                .as_ref()
                .map(|raw| self.trusted_proxies(&child(at, "trusted-proxies"), &raw.0)),
            address,
            tcp: raw.tcp.as_ref().map(|raw| self.tcp(at, raw)),
            tls: raw.tls.as_ref().map(|tls_of| self.tls(&tls, tls_of, raw.tcp.is_some())),
            redirect: raw.redirect_to_https.as_ref().and_then(|raw| self.redirect(&redirect, &raw.0)),
            hsts: raw.hsts.as_ref().and_then(|raw| self.hsts(&hsts, &raw.0)),
        };
        if listener.redirect.is_some() && self.written(&tls) {
            self.key_error(&redirect, "a listener with `tls` has nothing to redirect to");
        }
        if listener.hsts.is_some() && !self.written(&tls) {
            self.report(|source| {
                source
                    .key_error(&hsts, "`hsts` has no effect without `tls`: browsers ignore it over cleartext")
                    .with_help("move it to the listener with `tls`")
            });
        }
        listener
    }

    fn tls(&mut self, at: &str, raw: &RawTls, passes: bool) -> Tls {
        let (certificates, alpn) = (child(at, "certificates"), child(at, "alpn"));
        if raw.certificates.is_empty()
            && !self.written(&child(at, "acme"))
            && self.source.value().pointer(&certificates).is_none_or(Value::is_array)
        {
            let example = "write `certificates: [{ certificate: file:site.pem, private-key: file:site.key }]`";
            self.error_with_help(&certificates, "there is no certificate", example);
        }
        let each = raw.certificates.iter().flatten();
        Tls {
            certificates: each.map(|raw| self.certificate(raw)).collect(),
            acme: raw.acme.as_ref().map(|raw| self.acme(&child(at, "acme"), raw)),
            minimum_version: raw.minimum_version.as_ref().map(|version| version.0).unwrap_or_default(),
            alpn: self.alpn(&alpn, raw),
            client_certificates: raw
                .client_certificates
                .as_ref()
                .map(|raw| self.client_certificates(&child(at, "client-certificates"), raw)),
            early_data: self.early_data(at, raw, passes),
            handshake_timeout: self.time(
                &child(at, "handshake-timeout"),
                raw.handshake_timeout.as_ref(),
                Duration::from_secs(10),
                MILLISECOND,
                MINUTE,
            ),
        }
    }

    fn certificate(&mut self, raw: &RawCertificate) -> Certificate {
        let mut names: Vec<_> = raw.names.iter().flatten().map(|name| name.0.clone()).collect();
        names.sort();
        names.dedup();
        Certificate {
            certificate: self.joined(raw.certificate.0.0.clone()),
            private_key: self.joined(raw.private_key.0.0.clone()),
            ocsp: raw.ocsp.as_ref().map(|file| self.joined(file.0.0.clone())),
            names,
        }
    }

    fn alpn(&mut self, at: &str, raw: &RawTls) -> Vec<Alpn> {
        let mut protocols: Vec<Alpn> = Vec::new();
        for (index, alpn) in raw.alpn.iter().enumerate() {
            match alpn {
                Some(alpn) if protocols.contains(&alpn.0) => {
                    self.error(&format!("{at}/{index}"), "this protocol is here twice");
                }
                Some(alpn) => protocols.push(alpn.0),
                None => {}
            }
        }
        if raw.alpn.is_empty() && self.source.value().pointer(at).is_some_and(Value::is_array) {
            self.error(at, "the list is empty: leave `alpn` out to speak both HTTP/2 and HTTP/1.1");
        }
        if protocols.is_empty() { vec![Alpn::Http2, Alpn::Http11] } else { protocols }
    }

    fn client_certificates(&mut self, at: &str, raw: &RawClientCertificates) -> ClientCertificates {
        let header = raw.header.as_ref().map(|name| name.0.0.clone());
        if let Some(name) = header.as_ref().filter(|name| is_taken(name)) {
            let help = "choose one that nothing else has, as in `x-client-cert-subject`";
            self.error_with_help(&child(at, "header"), format!("`{name}` has a meaning of its own"), help);
        }
        ClientCertificates {
            authorities: self.joined(raw.authorities.0.0.clone()),
            verify: raw.verify.as_ref().map(|verify| verify.0).unwrap_or_default(),
            header,
        }
    }

    fn redirect(&mut self, at: &str, raw: &RawRedirect) -> Option<Redirect> {
        let port = self.count(&child(at, "port"), raw.port, 443, 1, 65_535);
        let status = raw.status.as_ref().map_or(StatusCode::PERMANENT_REDIRECT, |status| status.0.0);
        (!raw.off).then(|| Redirect { port: u16::try_from(port).unwrap_or(443), status })
    }

    fn hsts(&mut self, at: &str, raw: &RawHsts) -> Option<Hsts> {
        // As people write ten years.
        let longest = Time(Duration::from_secs(315_576_000));
        let second = Time(Duration::from_secs(1));
        let max_age = raw.max_age.as_ref().filter(|age| !age.0.0.is_zero());
        let max_age = match (&raw.max_age, max_age) {
            // RFC 6797, section 6.1.1: 0 makes browsers forget the host.
            (Some(_), None) => Duration::ZERO,
            _ => self.time(&child(at, "max-age"), max_age, YEAR, second, longest),
        };
        if raw.preload && !(raw.include_subdomains && max_age >= YEAR) {
            let message = "browsers' lists take a host only with `include-subdomains` and a `max-age` of a year";
            self.error(&child(at, "preload"), message);
        }
        (!raw.off).then_some(Hsts { max_age, include_subdomains: raw.include_subdomains, preload: raw.preload })
    }
}

/// Whether a header field is the framing's or the proxy's own, so that a client's identity cannot stand in it.
fn is_taken(name: &HeaderName) -> bool {
    const TAKEN: [&str; 16] = [
        "accept",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "http2-settings",
    ];
    *name == HOST || TAKEN.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded-")
}
