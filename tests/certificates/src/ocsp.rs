//! OCSP responses (RFC 6960, section 4.2.1), signed by the authority itself.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rcgen::{KeyPair, SigningKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// What a response says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The certificate is good.
    Good,
    /// The certificate was revoked.
    Revoked,
    /// The responder is busy, and says nothing of any certificate.
    TryLater,
}

const SEQUENCE: u8 = 0x30;
const OID: u8 = 6;
const OCTETS: u8 = 4;
const BITS: u8 = 3;
const TIME: u8 = 0x18;
/// 1.3.14.3.2.26
const SHA1: [u8; 5] = [0x2b, 14, 3, 2, 26];
/// 1.2.840.10045.4.3.2
const ECDSA_SHA256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// 1.3.6.1.5.5.7.48.1.1
const BASIC: [u8; 9] = [0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
const BEGIN: &[u8] = b"20200101000000Z";

pub(crate) fn response(authority: &[u8], key: &KeyPair, serial: u8, status: Status, until: i32) -> Vec<u8> {
    if status == Status::TryLater {
        return tlv(SEQUENCE, &[&tlv(0x0a, &[&[3]])]);
    }
    let (_, parsed) = X509Certificate::from_der(authority).expect("the authority's certificate");
    let hash = |bytes: &[u8]| tlv(OCTETS, &[digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref()]);
    let name = parsed.subject().as_raw();
    let public = &parsed.public_key().subject_public_key.data;
    let algorithm = tlv(SEQUENCE, &[&tlv(OID, &[&SHA1]), &tlv(5, &[])]);
    let id = tlv(SEQUENCE, &[&algorithm, &hash(name), &hash(public), &tlv(2, &[&[serial]])]);
    let said = if status == Status::Good { tlv(0x80, &[]) } else { tlv(0xa1, &[&tlv(TIME, &[BEGIN])]) };
    let next = tlv(0xa0, &[&tlv(TIME, &[format!("{until}0101000000Z").as_bytes()])]);
    let single = tlv(SEQUENCE, &[&id, &said, &tlv(TIME, &[BEGIN]), &next]);
    let data = tlv(SEQUENCE, &[&tlv(0xa1, &[name]), &tlv(TIME, &[BEGIN]), &tlv(SEQUENCE, &[&single])]);
    let signature = key.sign(&data).expect("a signature");
    let basic =
        tlv(SEQUENCE, &[&data, &tlv(SEQUENCE, &[&tlv(OID, &[&ECDSA_SHA256])]), &tlv(BITS, &[&[0], &signature])]);
    let bytes = tlv(SEQUENCE, &[&tlv(OID, &[&BASIC]), &tlv(OCTETS, &[&basic])]);
    tlv(SEQUENCE, &[&tlv(0x0a, &[&[0]]), &tlv(0xa0, &[&bytes])])
}

/// One element in DER: its tag, its length, its parts.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let mut element = vec![tag];
    match length {
        0..=0x7f => element.push(length as u8),
        0x80..=0xff => element.extend([0x81, length as u8]),
        _ => element.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    element.extend(content);
    element
}
