//! Files in PEM (RFC 7468).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Finding;

/// The most bytes of a file.
const MAX_SIZE: u64 = 4 << 20;
/// What DER begins with, where PEM is expected.
const DER: u8 = 0x30;

/// Reads a file whole; `what` is its name in messages.
pub(super) fn read(what: &str, path: &Path, at: &str) -> Result<Vec<u8>, Finding> {
    let mut bytes = Vec::new();
    let wrong = |reason: String| Err(Finding::error(at, format!("the {what} {} {reason}", path.display())));
    match File::open(path).and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut bytes)) {
        Err(error) => wrong(format!("cannot be read: {error}")),
        Ok(0) => wrong("is empty".to_owned()),
        Ok(read) if read as u64 > MAX_SIZE => wrong(format!("is larger than {} MiB", MAX_SIZE >> 20)),
        Ok(_) => Ok(bytes),
    }
}

/// The certificates of a file.
pub(super) fn certificates(what: &str, path: &Path, at: &str) -> Result<Vec<CertificateDer<'static>>, Finding> {
    let bytes = read(what, path, at)?;
    let wrong = |reason: &str| Finding::error(at, format!("the {what} {} {reason}", path.display()));
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match parsed {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) if bytes[0] == DER => {
            let help = "convert it: openssl x509 -inform der -in FILE -out FILE.pem";
            Err(wrong("is in DER and not in PEM").with_help(help))
        }
        Ok(_) if holds_key(&bytes) => Err(wrong("holds a private key and no certificate")),
        Ok(_) => Err(wrong("holds no certificate").with_help("in PEM one begins with -----BEGIN CERTIFICATE-----")),
        Err(error) => Err(wrong(&format!("is not right PEM: {}", reason(&error)))),
    }
}

/// The first private key of a file.
pub(super) fn private_key(path: &Path, at: &str) -> Result<PrivateKeyDer<'static>, Finding> {
    let bytes = read("private key", path, at)?;
    let wrong = |reason: &str| Finding::error(at, format!("the private key {} {reason}", path.display()));
    match PrivateKeyDer::from_pem_slice(&bytes) {
        // The old form keeps its label, and says in a header that it is encrypted.
        _ if contains(&bytes, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(&bytes, b"Proc-Type: 4,ENCRYPTED") => {
            let help = "gofe asks for no passphrase; decrypt it: openssl pkey -in FILE -out FILE.plain";
            Err(wrong("is encrypted").with_help(help))
        }
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if bytes[0] == DER => {
            let help = "convert it: openssl pkey -inform der -in FILE -out FILE.pem";
            Err(wrong("is in DER and not in PEM").with_help(help))
        }
        Err(pem::Error::NoItemsFound) if contains(&bytes, b"BEGIN CERTIFICATE") => {
            Err(wrong("holds a certificate and no private key"))
        }
        Err(pem::Error::NoItemsFound) => {
            Err(wrong("holds no private key").with_help("in PEM one begins with -----BEGIN PRIVATE KEY-----"))
        }
        Err(error) => Err(wrong(&format!("is not right PEM: {}", reason(&error)))),
    }
}

fn holds_key(bytes: &[u8]) -> bool {
    contains(bytes, b"PRIVATE KEY-----")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// What is wrong, without the bytes: they may be a key's.
fn reason(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "an -----END line is missing",
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN line is not right",
        pem::Error::Base64Decode(_) => "between -----BEGIN and -----END there is something that is not base64",
        _ => "it cannot be taken apart",
    }
}
