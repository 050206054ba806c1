//! The account and the certificate on the disk, for nobody's eyes but gofe's.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::Issued;
use crate::config::Acme;
use crate::net::tls::PROVIDER;

/// The files of one certificate.
pub(super) struct Storage {
    folder: PathBuf,
    account: PathBuf,
    certificate: PathBuf,
}

impl Storage {
    /// Names the files, and makes none. An account belongs to an authority, a certificate to its names too.
    pub(super) fn new(config: &Acme) -> Self {
        let account = format!("account-{}.json", short(&config.directory));
        let all = format!("{} {}", config.directory, config.names.join(" "));
        let first = config.names.first().map_or("", String::as_str).replace('*', "_");
        let certificate = format!("{first}-{}.pem", short(&all));
        let folder = &config.storage;
        Self { folder: folder.clone(), account: folder.join(account), certificate: folder.join(certificate) }
    }

    /// The certificate of an earlier run; nothing where there is none.
    pub(super) fn load(&self) -> Result<Option<Issued>, String> {
        match fs::read(&self.certificate) {
            Ok(pem) => read(&pem).map(Some).map_err(|reason| format!("{}: {reason}", self.certificate.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{} cannot be read: {error}", self.certificate.display())),
        }
    }

    /// The account of an earlier run.
    pub(super) fn account(&self) -> Option<Vec<u8>> {
        fs::read(&self.account).ok()
    }

    pub(super) fn keep_account(&self, credentials: &[u8]) -> Result<(), String> {
        self.keep(&self.account, credentials)
    }

    pub(super) fn keep_certificate(&self, pem: &[u8]) -> Result<(), String> {
        self.keep(&self.certificate, pem)
    }

    /// Writes a file whole or not at all.
    fn keep(&self, path: &Path, bytes: &[u8]) -> Result<(), String> {
        let written = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let new = path.with_extension("new");
            // Made anew, as permissions are those of who made it.
            let _ = fs::remove_file(&new);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, path)
        };
        written().map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }
}

/// Reads a private key and the certificates that belong to it.
pub(super) fn read(pem: &[u8]) -> Result<Issued, String> {
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| "there is no private key".to_owned())?;
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|_| "the certificates are damaged".to_owned())?;
    let (not_before, not_after) = {
        let leaf = chain.first().ok_or("there is no certificate")?;
        let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| "the certificate is damaged".to_owned())?;
        (time(leaf.validity().not_before.timestamp()), time(leaf.validity().not_after.timestamp()))
    };
    let key = PROVIDER.key_provider.load_private_key(key).map_err(|_| "the key is of an unknown kind".to_owned())?;
    let key = CertifiedKey::new(chain, key);
    key.keys_match().map_err(|_| "the key is not the certificate's".to_owned())?;
    Ok(Issued { key: Arc::new(key), not_before, not_after })
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// A text in few letters.
fn short(text: &str) -> String {
    Sha256::digest(text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
