//! TLS towards clients and endpoints, by rustls.

mod authorities;
mod certificate;
mod client;
mod early;
mod file;
mod handshake;
mod hello;
mod ocsp;
mod resolver;
mod subject;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::HeaderName;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use super::acme::Slot;
use super::quic::Crypto;
use crate::config::{self, Alpn, Challenge, TlsVersion};
use authorities::Authorities;
pub use client::{ClientTls, Offer};
pub(super) use early::Early;
use early::Sessions;
pub use handshake::{HandshakeError, Secured};
pub use hello::{HelloError, read_hello};
use resolver::Resolver;

/// What all of TLS here is computed by; with it comes the key exchange X25519MLKEM768, which resists quantum computers.
pub(super) static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// The protocol of an authority that looks whether a name leads here (RFC 8737, section 6.2).
const PROOF: &[u8] = b"acme-tls/1";

/// What a listener needs to speak TLS; all workers share it.
pub struct Tls {
    config: Arc<ServerConfig>,
    /// The same for QUIC.
    quic: Crypto,
    timeout: Duration,
    /// The header that carries the subject of clients' certificates.
    header: Option<HeaderName>,
    clients: Option<[u8; 32]>,
    /// The sessions that clients may resume, where they may send data with their first message.
    sessions: Option<Arc<Sessions>>,
}

/// Something about the files of TLS.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where in the `tls` of the listener or upstream, as a JSON pointer.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What would be right; empty where that is clear.
    pub help: String,
    /// Whether TLS works all the same.
    pub warning: bool,
}

impl Finding {
    fn error(pointer: &str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.to_owned(), message: message.into(), help: String::new(), warning: false }
    }

    fn warning(pointer: &str, message: impl Into<String>) -> Self {
        Self { warning: true, ..Self::error(pointer, message) }
    }

    fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
}

impl Tls {
    /// Reads the files. Tickets of `running` are taken where the same clients may connect. What is found goes to
    /// `findings`; there is no TLS when one of it is an error.
    pub fn load(
        config: &config::Tls,
        acme: Option<Arc<Slot>>,
        running: Option<&Self>,
        findings: &mut Vec<Finding>,
    ) -> Option<Self> {
        let mut found = Vec::new();
        let certificates = config.certificates.iter().enumerate();
        let certificates =
            certificates.map(|(i, config)| certificate::load(config, &format!("/certificates/{i}"), &mut found));
        let certificates: Option<Vec<_>> = certificates.collect::<Vec<_>>().into_iter().collect();
        let authorities = config.client_certificates.as_ref().map(|config| authorities::load(config, &mut found));
        let resolver = certificates.map(|certificates| Resolver::new(certificates, acme, &mut found));
        let built = match (resolver, authorities) {
            (None, _) | (_, Some(None)) => None,
            (Some(resolver), None) => Some((resolver, None)),
            (Some(resolver), Some(authorities)) => Some((resolver, authorities)),
        };
        let tls = built.and_then(|(resolver, authorities)| {
            Self::build(config, resolver, authorities, running)
                .map_err(|error| found.push(Finding::error("", format!("TLS cannot be set up: {error}"))))
                .ok()
        });
        let failed = found.iter().any(|finding| !finding.warning);
        findings.append(&mut found);
        tls.filter(|_| !failed)
    }

    fn build(
        config: &config::Tls,
        resolver: Resolver,
        authorities: Option<Authorities>,
        running: Option<&Self>,
    ) -> Result<Self, rustls::Error> {
        let clients = authorities.as_ref().map(|authorities| authorities.digest);
        let builder = ServerConfig::builder_with_provider(PROVIDER.clone())
            .with_protocol_versions(versions(config.minimum_version))?;
        let builder = match authorities {
            Some(authorities) => builder.with_client_cert_verifier(authorities.verifier),
            None => builder.with_no_client_auth(),
        };
        let mut server = builder.with_cert_resolver(Arc::new(resolver));
        server.alpn_protocols = config.alpn.iter().map(|alpn| protocol(*alpn).to_vec()).collect();
        if config.acme.as_ref().is_some_and(|acme| acme.challenge == Challenge::TlsAlpn01) {
            server.alpn_protocols.push(PROOF.to_vec());
        }
        let sessions = config.early_data.map(|early| sessions(early.sessions, running));
        match (&sessions, config.early_data) {
            (Some(sessions), Some(early)) => {
                server.session_storage = sessions.clone();
                server.max_early_data_size = early.size;
                server.send_half_rtt_data = true;
            }
            // What a session needs is in its ticket, so that every worker can resume it and none remembers it.
            _ => {
                server.session_storage = Arc::new(NoServerSessionStorage {});
                server.ticketer = tickets(clients, running)?;
            }
        }
        let header = config.client_certificates.as_ref().and_then(|clients| clients.header.clone());
        let quic = quic(&server)?;
        Ok(Self { config: Arc::new(server), quic, timeout: config.handshake_timeout, header, clients, sessions })
    }

    /// What QUIC needs of it.
    pub(super) fn quic(&self) -> Crypto {
        self.quic.clone()
    }

    /// How long a handshake may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether clients may send data before the handshake is complete.
    pub(super) fn takes_early_data(&self) -> bool {
        self.sessions.is_some()
    }

    /// The header that carries the subject of clients' certificates.
    pub fn header(&self) -> Option<&HeaderName> {
        self.header.as_ref()
    }
}

/// The same certificates, clients and tickets for HTTP/3, which is TLS 1.3 (RFC 9001, section 4.2).
fn quic(server: &ServerConfig) -> Result<Crypto, rustls::Error> {
    let mut server = server.clone();
    server.alpn_protocols = vec![b"h3".to_vec()];
    // QUIC has limits of its own, and knows either none here or this (RFC 9001, section 4.6.1).
    if server.max_early_data_size > 0 {
        server.max_early_data_size = u32::MAX;
    }
    let quic = QuicServerConfig::try_from(server).map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(Arc::new(quic))
}

fn versions(minimum: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static FROM_12: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
    match minimum {
        TlsVersion::Tls12 => &FROM_12,
        TlsVersion::Tls13 => &FROM_12[..1],
    }
}

/// The name of a protocol on the wire (RFC 7301, section 6).
fn protocol(alpn: Alpn) -> &'static [u8] {
    match alpn {
        Alpn::Http2 => b"h2",
        Alpn::Http11 => b"http/1.1",
    }
}

/// What makes tickets: keys change every six hours, and the last ones are taken for six hours more.
///
/// A session that is resumed shows no certificate again. So tickets hold only as long as the same authorities are
/// asked for, and never on another listener.
fn tickets(clients: Option<[u8; 32]>, running: Option<&Tls>) -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    match running.filter(|running| running.clients == clients && running.sessions.is_none()) {
        Some(running) => Ok(running.config.ticketer.clone()),
        None => aws_lc_rs::Ticketer::new(),
    }
}

/// Where sessions are kept: those of `running` stay, where there may be as many.
fn sessions(most: u64, running: Option<&Tls>) -> Arc<Sessions> {
    let kept = running.and_then(|running| running.sessions.clone()).filter(|sessions| sessions.most() == most);
    kept.unwrap_or_else(|| Sessions::new(most))
}
