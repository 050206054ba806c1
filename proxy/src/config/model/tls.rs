//! What a listener does about HTTPS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, StatusCode};

use super::{Acme, HostPattern};

/// TLS on a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificates; the first is for clients that name no server or one that no certificate has. None where `acme` is
    /// there, which then stands first.
    pub certificates: Vec<Certificate>,
    /// A certificate that gofe gets by itself; absent where it gets none.
    pub acme: Option<Acme>,
    /// The oldest version that is spoken. Default 1.2.
    pub minimum_version: TlsVersion,
    /// Application protocols, the preferred first. Default h2 and http/1.1.
    pub alpn: Vec<Alpn>,
    /// Whether clients show certificates of their own; absent where nobody asks.
    pub client_certificates: Option<ClientCertificates>,
    /// Whether clients may send requests before the handshake is complete (0-RTT); absent where they may not.
    pub early_data: Option<EarlyData>,
    /// From the connection to the end of the handshake. Default 10 s.
    pub handshake_timeout: Duration,
}

/// What clients may send before the handshake is complete (RFC 8446, section 2.3; RFC 8470).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlyData {
    /// The most bytes by TCP; QUIC has its own limits. Default 16 KiB.
    pub size: u32,
    /// So many sessions are kept to be resumed, of which each is good for one connection. Default 10,000.
    pub sessions: u64,
}

/// A certificate with its key. All files are PEM but the OCSP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The server's certificate, and behind it those that lead to an authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
    /// An OCSP response in DER, sent with the certificate (RFC 6066, section 8).
    pub ocsp: Option<PathBuf>,
    /// The names that it is used for; empty for those that the certificate itself has. Here `*.` is one label.
    pub names: Vec<HostPattern>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// An application protocol (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/2.
    Http2,
    /// HTTP/1.1.
    Http11,
}

/// What is asked of clients' certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The authorities that must have issued them, PEM.
    pub authorities: PathBuf,
    /// Whether a client must have one.
    pub verify: Verify,
    /// The request header that carries the subject to chains and upstreams.
    pub header: Option<HeaderName>,
}

/// Whether a client must have a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// A client without one is refused.
    #[default]
    Required,
    /// A client may have one; one that does not verify is refused.
    Optional,
}

/// Sends clients from cleartext to HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The port where HTTPS is. Default 443.
    pub port: u16,
    /// The status: 301, 302, 307 or 308, which is the default.
    pub status: StatusCode,
}

/// `Strict-Transport-Security` (RFC 6797).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hsts {
    /// How long a browser uses nothing but HTTPS. Default one year.
    pub max_age: Duration,
    /// Whether that holds for all names below the host.
    pub include_subdomains: bool,
    /// Whether browsers may ship the host in their list.
    pub preload: bool,
}

impl Tls {
    /// The files that it is read from.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let certificates = self.certificates.iter().flat_map(|certificate| {
            let Certificate { certificate, private_key, ocsp, .. } = certificate;
            [Some(certificate), Some(private_key), ocsp.as_ref()].into_iter().flatten()
        });
        let authority = self.acme.as_ref().and_then(|acme| acme.authority.as_ref());
        let authorities = self.client_certificates.as_ref().map(|clients| &clients.authorities);
        certificates.chain(authorities).chain(authority).map(PathBuf::as_path)
    }
}
