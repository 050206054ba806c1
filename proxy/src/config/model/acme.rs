//! Certificates that gofe gets by itself.

use std::path::PathBuf;
use std::time::Duration;

/// A certificate from an authority that speaks ACME (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acme {
    /// The URL of the authority's directory. Default Let's Encrypt's.
    pub directory: String,
    /// Whom the authority may write to, as URLs.
    pub contact: Vec<String>,
    /// The names of the certificate, at least one.
    pub names: Vec<String>,
    /// The authority that the directory's own certificate must come from, PEM; absent for those that the system trusts.
    pub authority: Option<PathBuf>,
    /// The folder for the account and the certificate.
    pub storage: PathBuf,
    /// How the authority finds out that the names lead here.
    pub challenge: Challenge,
    /// How long one order may take. Default 2 min.
    pub timeout: Duration,
}

/// How an authority finds out that a name leads to gofe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Challenge {
    /// By a TLS handshake of its own on port 443 (RFC 8737).
    #[default]
    TlsAlpn01,
    /// By a request in cleartext on port 80 (RFC 8555, section 8.3).
    Http01,
}
