//! The authorities whose word about clients is taken.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::certificate::date;
use super::{Finding, PROVIDER, file};
use crate::config::{ClientCertificates, Verify};

/// Who verifies clients' certificates.
pub(super) struct Authorities {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    /// Which authorities they are and what is asked: two with the same digest let in the same clients.
    pub(super) digest: [u8; 32],
}

/// Reads the authorities.
pub(super) fn load(config: &ClientCertificates, found: &mut Vec<Finding>) -> Option<Authorities> {
    const AT: &str = "/client-certificates/authorities";
    let path = config.authorities.display();
    let certificates = file::certificates("file of authorities", &config.authorities, AT);
    let certificates = certificates.map_err(|finding| found.push(finding)).ok()?;
    let mut roots = RootCertStore::empty();
    let mut hasher = Sha256::new_with_prefix([u8::from(config.verify == Verify::Required)]);
    let mut failed = false;
    for (index, certificate) in certificates.into_iter().enumerate() {
        hasher.update(&certificate);
        if let Some(expired) = expired(&certificate) {
            let message = format!("authority {} of {path} expired on {expired}: its clients are refused", index + 1);
            found.push(Finding::warning(AT, message));
        }
        if let Err(error) = roots.add(certificate) {
            failed = true;
            found.push(Finding::error(AT, format!("authority {} of {path} cannot be used: {error}", index + 1)));
        }
    }
    if failed {
        return None;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), PROVIDER.clone());
    let builder = match config.verify {
        Verify::Required => builder,
        Verify::Optional => builder.allow_unauthenticated(),
    };
    match builder.build() {
        Ok(verifier) => Some(Authorities { verifier, digest: hasher.finalize().into() }),
        Err(error) => {
            found.push(Finding::error(AT, format!("the authorities of {path} cannot be used: {error}")));
            None
        }
    }
}

fn expired(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let end = certificate.validity().not_after;
    (end < ASN1Time::now()).then(|| date(end))
}
