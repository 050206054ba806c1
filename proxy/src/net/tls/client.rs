//! TLS towards endpoints.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Finding, PROVIDER, certificate, file, protocol, versions};
use crate::config::{self, Alpn, VerifyServer};

/// What an upstream needs to speak TLS; all workers share it.
#[derive(Debug)]
pub struct ClientTls {
    /// By what is offered: HTTP/1.1, HTTP/2, either, nothing.
    configs: [Arc<ClientConfig>; 4],
    server_name: Option<ServerName<'static>>,
    digest: [u8; 32],
}

/// The protocols that are offered to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
    /// HTTP/2, and HTTP/1.1 where the endpoint does not speak it.
    Either,
    /// Nothing: bytes that are no HTTP.
    Nothing,
}

impl ClientTls {
    /// Reads the files. What is found goes to `findings`; there is no TLS when one of it is an error.
    pub fn load(config: &config::UpstreamTls, findings: &mut Vec<Finding>) -> Option<Self> {
        let mut found = Vec::new();
        let mut hasher = Sha256::new();
        let verifier = verifier(config, &mut hasher, &mut found);
        let own = config.client_certificate.as_ref();
        let own = own.map(|(certificate, key)| own_certificate(certificate, key, &mut hasher, &mut found));
        let failed = found.iter().any(|finding| !finding.warning);
        findings.append(&mut found);
        let (Some(verifier), false) = (verifier, failed) else { return None };
        let built = [Offer::Http1, Offer::Http2, Offer::Either, Offer::Nothing].map(|offer| {
            let builder = ClientConfig::builder_with_provider(PROVIDER.clone())
                .with_protocol_versions(versions(config.minimum_version))?;
            let builder = builder.dangerous().with_custom_certificate_verifier(verifier.clone());
            let mut client = match own.iter().flatten().next() {
                Some(own) => builder.with_client_cert_resolver(own.clone()),
                None => builder.with_no_client_auth(),
            };
            client.alpn_protocols = offer.protocols().iter().map(|alpn| protocol(*alpn).to_vec()).collect();
            Ok::<_, Error>(Arc::new(client))
        });
        let [Ok(http1), Ok(http2), Ok(either), Ok(nothing)] = built else {
            findings.push(Finding::error("", "TLS cannot be set up with this version"));
            return None;
        };
        let Ok(server_name) = config.server_name.clone().map(ServerName::try_from).transpose() else {
            findings.push(Finding::error("/server-name", "this is not a server's name"));
            return None;
        };
        Some(Self { configs: [http1, http2, either, nothing], server_name, digest: hasher.finalize().into() })
    }

    /// Whether both were made from the same files.
    pub fn same_files(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// Does the handshake with an endpoint on this host, and says which protocol was agreed upon.
    ///
    /// # Errors
    /// When the endpoint does not speak TLS, not as is asked of it, or its certificate does not verify.
    pub async fn connect<S>(&self, stream: S, host: &str, offer: Offer) -> io::Result<(TlsStream<S>, Option<Alpn>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(|_| {
                io::Error::other(format!("`{host}` is not a server's name: `server-name` must give one"))
            })?,
        };
        let config = self.configs[offer as usize].clone();
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        let (_, session) = stream.get_ref();
        let agreed = session.alpn_protocol();
        let alpn = [Alpn::Http2, Alpn::Http11].into_iter().find(|alpn| agreed == Some(protocol(*alpn)));
        Ok((stream, alpn))
    }
}

impl Offer {
    fn protocols(self) -> &'static [Alpn] {
        match self {
            Self::Http1 => &[Alpn::Http11],
            Self::Http2 => &[Alpn::Http2],
            Self::Either => &[Alpn::Http2, Alpn::Http11],
            Self::Nothing => &[],
        }
    }
}

/// Who looks at endpoints' certificates.
fn verifier(
    config: &config::UpstreamTls,
    hasher: &mut Sha256,
    found: &mut Vec<Finding>,
) -> Option<Arc<dyn ServerCertVerifier>> {
    if config.verify == VerifyServer::Nothing {
        return Some(Arc::new(Lax { inner: None }));
    }
    let roots = match &config.authorities {
        Some(path) => authorities(path, hasher, found)?,
        None => system(found)?,
    };
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), PROVIDER.clone()).build();
    match (built, config.verify) {
        (Ok(verifier), VerifyServer::Full) => Some(verifier),
        (Ok(verifier), _) => Some(Arc::new(Lax { inner: Some(verifier) })),
        (Err(error), _) => {
            found.push(Finding::error("/authorities", format!("the authorities cannot be used: {error}")));
            None
        }
    }
}

fn authorities(path: &Path, hasher: &mut Sha256, found: &mut Vec<Finding>) -> Option<RootCertStore> {
    const AT: &str = "/authorities";
    let certificates = file::certificates("file of authorities", path, AT);
    let certificates = certificates.map_err(|finding| found.push(finding)).ok()?;
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates.into_iter().enumerate() {
        hasher.update(&certificate);
        if let Err(error) = roots.add(certificate) {
            let message = format!("authority {} of {} cannot be used: {error}", index + 1, path.display());
            found.push(Finding::error(AT, message));
        }
    }
    Some(roots)
}

/// The authorities that the system trusts.
fn system(found: &mut Vec<Finding>) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let help = "install the system's certificates, or write `authorities: file:ca.pem`";
        found.push(Finding::error("", "the system has no certificates to trust").with_help(help));
        return None;
    }
    Some(roots)
}

/// gofe's own certificate.
fn own_certificate(
    certificate: &Path,
    key: &Path,
    hasher: &mut Sha256,
    found: &mut Vec<Finding>,
) -> Option<Arc<dyn rustls::client::ResolvesClientCert>> {
    let config = config::Certificate {
        certificate: certificate.to_owned(),
        private_key: key.to_owned(),
        ocsp: None,
        names: Vec::new(),
    };
    let loaded = certificate::load(&config, "/client-certificate", found)?;
    // The certificate of a client need not name a host.
    found.retain(|finding| !finding.message.contains("names no DNS name"));
    loaded.key.cert.iter().for_each(|certificate| hasher.update(certificate));
    // A key is written anew with its certificate, or else the two do not match.
    Some(Arc::new(rustls::sign::SingleCertAndKey::from(loaded.key)))
}

/// A verifier that overlooks the name; without another behind it, everything.
#[derive(Debug)]
struct Lax {
    inner: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lax {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp, now) {
            // The name is looked at last, when all else was found to be right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &PROVIDER.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &PROVIDER.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}
