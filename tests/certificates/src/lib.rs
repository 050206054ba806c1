//! A small authority of certificates for tests and examples.

mod ocsp;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SerialNumber, date_time_ymd,
};

pub use ocsp::Status;

/// The year in which what is issued begins and, by custom, ends.
const YEARS: (i32, i32) = (2020, 2120);

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
    /// How many certificates it has issued: the serial numbers, which fit into 7 bits for all that tests need.
    issued: AtomicU8,
}

/// What a certificate shall say.
pub struct Wanted<'a> {
    /// DNS names and IP addresses.
    pub names: &'a [&'a str],
    /// The subject: types and values, the most general first.
    pub subject: Vec<(DnType, &'a str)>,
    /// The years in which it begins and ends.
    pub years: (i32, i32),
    /// Whether it is a client's.
    pub client: bool,
    /// Whether its key is RSA and not ECDSA.
    pub rsa: bool,
}

/// A certificate with its key.
pub struct Issued {
    /// The certificate.
    pub pem: String,
    /// The same in DER.
    pub der: Vec<u8>,
    /// The private key.
    pub key: String,
    serial: u8,
}

impl<'a> Wanted<'a> {
    /// A server with these names.
    pub fn server(names: &'a [&'a str]) -> Self {
        let subject = names.first().map(|name| (DnType::CommonName, *name)).into_iter().collect();
        Self { names, subject, years: YEARS, client: false, rsa: false }
    }

    /// A client of this name.
    pub fn client(name: &'a str) -> Self {
        let subject = vec![(DnType::OrganizationName, "Example"), (DnType::CommonName, name)];
        Self { names: &[], subject, years: YEARS, client: true, rsa: false }
    }
}

impl Authority {
    /// An authority of this name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (date_time_ymd(YEARS.0, 1, 1), date_time_ymd(YEARS.1, 1, 1));
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), certificate, issued: AtomicU8::new(1) }
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Its certificate in DER.
    pub fn der(&self) -> &[u8] {
        self.certificate.der()
    }

    /// Issues a certificate.
    pub fn issue(&self, wanted: &Wanted<'_>) -> Issued {
        let serial = self.issued.fetch_add(1, Ordering::Relaxed);
        let names: Vec<String> = wanted.names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.serial_number = Some(SerialNumber::from(u64::from(serial)));
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in &wanted.subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let (first, last) = wanted.years;
        (params.not_before, params.not_after) = (date_time_ymd(first, 1, 1), date_time_ymd(last, 1, 1));
        let purpose =
            if wanted.client { ExtendedKeyUsagePurpose::ClientAuth } else { ExtendedKeyUsagePurpose::ServerAuth };
        params.extended_key_usages = vec![purpose];
        let kind = if wanted.rsa { &PKCS_RSA_SHA256 } else { &PKCS_ECDSA_P256_SHA256 };
        let key = KeyPair::generate_for(kind).expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued { pem: certificate.pem(), der: certificate.der().to_vec(), key: key.serialize_pem(), serial }
    }

    /// An OCSP response about a certificate, that is out of date after the beginning of a year.
    pub fn ocsp(&self, issued: &Issued, status: Status, until: i32) -> Vec<u8> {
        ocsp::response(self.der(), self.issuer.key(), issued.serial, status, until)
    }
}

/// Writes what `examples/tls.yaml` names into a folder, unless it is there.
///
/// # Errors
/// When a file cannot be written.
pub fn examples(folder: &Path) -> io::Result<()> {
    // The last one that is written.
    if folder.join("client.key").exists() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes);
    let authority = Authority::new("gofe examples");
    write("ca.pem", authority.pem().as_bytes())?;
    let site = authority.issue(&Wanted::server(&["site.localhost", "*.site.localhost"]));
    write("site.pem", (site.pem.clone() + &authority.pem()).as_bytes())?;
    write("site.key", site.key.as_bytes())?;
    write("site.ocsp", &authority.ocsp(&site, Status::Good, YEARS.1))?;
    let other = authority.issue(&Wanted::server(&["other.localhost", "www.other.localhost"]));
    write("other.pem", other.pem.as_bytes())?;
    write("other.key", other.key.as_bytes())?;
    let client = authority.issue(&Wanted::client("alice"));
    write("client.pem", client.pem.as_bytes())?;
    write("client.key", client.key.as_bytes())
}
