//! A certificate with its key, and all that can be wrong with them.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error, InconsistentKeys};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::{Finding, PROVIDER, file, ocsp};
use crate::config::{self, HostPattern};

/// A certificate that can be shown.
pub(super) struct Loaded {
    pub(super) key: Arc<CertifiedKey>,
    /// The names that it is for, in lower case; a name may begin with `*.`.
    pub(super) names: Vec<String>,
}

/// Reads a certificate; `at` is its place in the listener's `tls`.
pub(super) fn load(config: &config::Certificate, at: &str, found: &mut Vec<Finding>) -> Option<Loaded> {
    let (at_certificate, at_key, at_ocsp) =
        (format!("{at}/certificate"), format!("{at}/private-key"), format!("{at}/ocsp"));
    // Each is looked at whatever the others are like, so that all mistakes are told at once.
    let chain = keep(file::certificates("certificate", &config.certificate, &at_certificate), found);
    let key = keep(signing_key(config, &at_key), found);
    let chain = chain?;
    let parsed = keep(parse(config, &chain, &at_certificate), found);
    let leaf = parsed?;
    found.extend(expiry(config, &leaf, &at_certificate));
    let names = names(config, &leaf, at, found);
    let ocsp = config.ocsp.as_ref().map(|path| ocsp::load(path, &leaf, &at_ocsp, found));
    let ocsp = ocsp.and_then(|ocsp| keep(ocsp, found));
    let key = CertifiedKey { cert: chain.clone(), key: key?, ocsp };
    keep(matches(config, &key, &at_key), found)?;
    Some(Loaded { key: Arc::new(key), names })
}

/// The value, or else what was found.
fn keep<T>(result: Result<T, Finding>, found: &mut Vec<Finding>) -> Option<T> {
    result.map_err(|finding| found.push(finding)).ok()
}

fn signing_key(config: &config::Certificate, at: &str) -> Result<Arc<dyn SigningKey>, Finding> {
    let key = file::private_key(&config.private_key, at)?;
    PROVIDER.key_provider.load_private_key(key).map_err(|_| {
        let path = config.private_key.display();
        Finding::error(at, format!("the private key {path} is of a kind that is not supported"))
            .with_help("use RSA from 2048 bits on, ECDSA with P-256, P-384 or P-521, or Ed25519")
    })
}

fn parse<'a>(
    config: &config::Certificate,
    chain: &'a [CertificateDer<'static>],
    at: &str,
) -> Result<X509Certificate<'a>, Finding> {
    let first = chain.first().map(AsRef::as_ref).unwrap_or_default();
    X509Certificate::from_der(first).map(|(_, leaf)| leaf).map_err(|_| {
        let path = config.certificate.display();
        Finding::error(at, format!("the first certificate of {path} cannot be taken apart: it is damaged"))
    })
}

fn matches(config: &config::Certificate, key: &CertifiedKey, at: &str) -> Result<(), Finding> {
    let (path, certificate) = (config.private_key.display(), config.certificate.display());
    match key.keys_match() {
        // Some keys cannot say what their public half is.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(Error::InconsistentKeys(_)) => {
            let message = format!("the private key {path} does not belong to the certificate {certificate}");
            let help = "the server's own certificate comes first in its file, those of authorities behind it";
            Err(Finding::error(at, message).with_help(help))
        }
        Err(error) => Err(Finding::error(at, format!("the certificate {certificate} cannot be used: {error}"))),
    }
}

/// A certificate that does not hold today is served all the same: a clock that is wrong, or a renewal that is late, must
/// not keep a proxy from its start.
fn expiry(config: &config::Certificate, leaf: &X509Certificate<'_>, at: &str) -> Option<Finding> {
    let (path, validity) = (config.certificate.display(), leaf.validity());
    if validity.not_after < ASN1Time::now() {
        let message = format!("the certificate {path} expired on {}", date(validity.not_after));
        return Some(Finding::warning(at, message).with_help("clients refuse it: renew it"));
    }
    (validity.not_before > ASN1Time::now()).then(|| {
        let message = format!("the certificate {path} is not valid before {}", date(validity.not_before));
        Finding::warning(at, message).with_help("clients refuse it until then; is the clock right?")
    })
}

/// A time as people write it.
pub(super) fn date(time: ASN1Time) -> String {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// The names that a certificate is shown for: those of the configuration, or else its own.
fn names(config: &config::Certificate, leaf: &X509Certificate<'_>, at: &str, found: &mut Vec<Finding>) -> Vec<String> {
    let own = own_names(leaf);
    if config.names.is_empty() {
        if own.is_empty() {
            let path = config.certificate.display();
            let message =
                format!("the certificate {path} names no DNS name: only clients that name no known server get it");
            let help = "write `names: [HOST]`, or have it issued with a subject alternative name";
            found.push(Finding::warning(&format!("{at}/certificate"), message).with_help(help));
        }
        return own;
    }
    let given: Vec<String> = config.names.iter().map(HostPattern::to_string).collect();
    for name in given.iter().filter(|name| !own.iter().any(|own| covers(own, name))) {
        let message =
            format!("the certificate {} does not name `{name}`: clients refuse it", config.certificate.display());
        found.push(Finding::warning(&format!("{at}/names"), message));
    }
    given
}

/// The DNS names among a certificate's subject alternative names (RFC 5280, section 4.2.1.6), in lower case.
fn own_names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let extension = leaf.subject_alternative_name().ok().flatten();
    let names = extension.iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
        _ => None,
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// Whether a name of a certificate holds for another: `*` stands for one label (RFC 9525, section 6.3).
fn covers(own: &str, name: &str) -> bool {
    let below = |suffix: &str| name.split_once('.').is_some_and(|(first, rest)| first != "*" && rest == suffix);
    own == name || own.strip_prefix("*.").is_some_and(below)
}
