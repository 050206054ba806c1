//! From a connection to one that is secured, and what is known of it then.

use std::io;
use std::time::{Duration, Instant};

use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, Error, HandshakeKind, InvalidMessage, ProtocolVersion, ServerConnection};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::early::{self, Begun};
use super::{Tls, protocol, subject};
use crate::chain::TlsInfo;
use crate::config::Alpn;
use crate::net::{Batched, Connection, Stream};

/// A connection after its handshake.
pub struct Secured {
    /// The connection.
    pub stream: Stream,
    /// What TLS says of it.
    pub info: Box<TlsInfo>,
    /// The protocol that was agreed upon, where the client speaks of protocols.
    pub alpn: Option<Alpn>,
    /// How it was made, in a word for metrics: `full`, `resumed`, or `early-data`.
    pub kind: &'static str,
}

/// Why there is no secured connection.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct HandshakeError {
    /// The word in metrics.
    pub reason: &'static str,
    message: String,
}

impl HandshakeError {
    /// None in this time.
    pub(in crate::net) fn timeout(after: Duration) -> Self {
        Self { reason: "timeout", message: format!("no handshake in {after:?}") }
    }

    /// What QUIC says of a handshake that failed.
    pub(in crate::net) fn of_quic(error: &quinn::ConnectionError) -> Self {
        use quinn::ConnectionError::{
            ApplicationClosed, ConnectionClosed, LocallyClosed, Reset, TimedOut, TransportError,
        };
        let reason = match error {
            TimedOut | Reset | LocallyClosed => "closed",
            ConnectionClosed(_) | ApplicationClosed(_) => "refused-by-client",
            TransportError(_) => "protocol",
            _ => "incompatible",
        };
        Self { reason, message: error.to_string() }
    }
}

impl Tls {
    /// Does the handshake.
    ///
    /// # Errors
    /// When the client does not speak TLS, not as is asked of it, not in time, or goes away.
    pub async fn accept(&self, connection: Connection) -> Result<Secured, HandshakeError> {
        let end = Instant::now() + self.timeout;
        let accepted = async {
            match self.takes_early_data() {
                true => early::accept(&self.config, Batched::new(connection)).await,
                false => {
                    let accept = TlsAcceptor::from(self.config.clone()).accept(Batched::new(connection));
                    accept.await.map(|stream| Begun::Whole(Box::new(stream)))
                }
            }
        };
        match tokio::time::timeout_at(end.into(), accepted).await {
            Ok(Ok(begun)) => self.secured(begun),
            Ok(Err(error)) => Err(HandshakeError { reason: reason(&error), message: error.to_string() }),
            Err(_) => Err(HandshakeError::timeout(self.timeout)),
        }
    }

    fn secured(&self, begun: Begun) -> Result<Secured, HandshakeError> {
        let (connection, complete) = match &begun {
            Begun::Whole(stream) => (stream.get_ref().1, None),
            Begun::Early(stream) => (stream.session(), Some(stream.complete())),
        };
        let kind = match connection.handshake_kind() {
            _ if complete.is_some() => "early-data",
            Some(HandshakeKind::Resumed) => "resumed",
            _ => "full",
        };
        let info = Box::new(TlsInfo { complete, ..self.info(connection)? });
        let alpn =
            [Alpn::Http2, Alpn::Http11].into_iter().find(|alpn| connection.alpn_protocol() == Some(protocol(*alpn)));
        let stream = match begun {
            Begun::Whole(stream) => Stream::Tls(stream),
            Begun::Early(stream) => Stream::Early(stream),
        };
        Ok(Secured { stream, info, alpn, kind })
    }

    fn info(&self, connection: &ServerConnection) -> Result<TlsInfo, HandshakeError> {
        let mut info = TlsInfo {
            version: connection.protocol_version().map_or("", version),
            cipher: connection.negotiated_cipher_suite().map_or("", |suite| cipher(suite.suite())),
            server_name: connection.server_name().map(Into::into),
            ..TlsInfo::default()
        };
        if let Some(certificate) = connection.peer_certificates().and_then(<[_]>::first) {
            self.identify(certificate, &mut info)?;
        }
        Ok(info)
    }

    /// Who the client is. Its certificate was verified in this handshake, or in the one that is resumed: since then it
    /// may have expired.
    pub(in crate::net) fn identify(
        &self,
        certificate: &CertificateDer<'_>,
        info: &mut TlsInfo,
    ) -> Result<(), HandshakeError> {
        let refused = |message: &str| HandshakeError { reason: "client-certificate", message: message.to_owned() };
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|_| refused("the client's certificate cannot be taken apart"))?;
        if !parsed.validity().is_valid() {
            return Err(refused("the client's certificate has expired"));
        }
        let subject = subject::text(parsed.subject());
        if let Some(name) = &self.header {
            let value = HeaderValue::try_from(subject.as_str());
            info.identity = Some((name.clone(), value.map_err(|_| refused("the client's subject is no text"))?));
        }
        let digest = Sha256::digest(certificate);
        info.client_fingerprint = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect());
        info.client_subject = Some(subject);
        Ok(())
    }
}

fn version(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "",
    }
}

/// The IANA name; rustls marks those of TLS 1.3.
fn cipher(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        suite => suite.as_str().unwrap_or_default(),
    }
}

/// The word in metrics for a handshake that failed.
fn reason(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        None => "closed",
        Some(Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        )) => "not-tls",
        Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => "incompatible",
        Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => "client-certificate",
        Some(Error::AlertReceived(_)) => "refused-by-client",
        Some(_) => "protocol",
    }
}
