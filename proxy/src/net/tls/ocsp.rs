//! OCSP responses (RFC 6960): whether a file holds one that says something good of this certificate, today.

use std::path::Path;

use x509_parser::asn1_rs::{Any, Class, FromDer, GeneralizedTime, Tag};
use x509_parser::certificate::X509Certificate;
use x509_parser::time::ASN1Time;

use super::certificate::date;
use super::{Finding, file};

/// What matters of a response about one certificate.
struct Single {
    serial: Vec<u8>,
    good: bool,
    next_update: Option<ASN1Time>,
}

/// Reads a response in DER.
pub(super) fn load(
    path: &Path,
    leaf: &X509Certificate<'_>,
    at: &str,
    found: &mut Vec<Finding>,
) -> Result<Vec<u8>, Finding> {
    let bytes = file::read("OCSP response", path, at)?;
    let wrong = |reason: &str| Finding::error(at, format!("the OCSP response {} {reason}", path.display()));
    let warn = |reason: &str| Finding::warning(at, format!("the OCSP response {} {reason}", path.display()));
    if successful(&bytes) == Some(false) {
        return Err(wrong("says that the responder had no answer"));
    }
    let singles = responses(&bytes)
        .ok_or_else(|| wrong("is no OCSP response in DER").with_help("openssl ocsp -respout FILE writes one"))?;
    let serial = trimmed(leaf.raw_serial());
    let single = singles.iter().find(|single| single.serial == serial);
    let single = single.ok_or_else(|| wrong("is about another certificate"))?;
    if !single.good {
        found.push(warn("does not say that the certificate is good").with_help("clients refuse the certificate"));
    }
    if let Some(next) = single.next_update.filter(|next| *next < ASN1Time::now()) {
        let help = "clients take no notice of it, or refuse the certificate: fetch a new one";
        found.push(warn(&format!("is out of date since {}", date(next))).with_help(help));
    }
    Ok(bytes)
}

/// Whether `OCSPResponse.responseStatus` is `successful`.
fn successful(bytes: &[u8]) -> Option<bool> {
    let response = parts(whole(bytes)?.data);
    let status = response.first()?;
    (status.tag() == Tag::Enumerated).then_some(status.data == [0])
}

/// `OCSPResponse.responseBytes.response.tbsResponseData.responses`.
fn responses(bytes: &[u8]) -> Option<Vec<Single>> {
    let response = parts(whole(bytes)?.data);
    let [_, wrapped] = response.as_slice() else { return None };
    let inner = parts(whole(wrapped.data)?.data);
    let [_, basic] = inner.as_slice() else { return None };
    let signed = parts(whole(basic.data)?.data);
    let data = parts(signed.first()?.data);
    let list = data.iter().find(|part| part.class() == Class::Universal && part.tag() == Tag::Sequence)?;
    parts(list.data).iter().map(single).collect()
}

/// `SingleResponse`: whose it is, what it says, until when.
fn single(single: &Any<'_>) -> Option<Single> {
    let fields = parts(single.data);
    let [id, status, _this_update, rest @ ..] = fields.as_slice() else { return None };
    let serial = parts(id.data).into_iter().find(|part| part.tag() == Tag::Integer)?;
    let next = rest.iter().find(|part| part.class() == Class::ContextSpecific && part.tag().0 == 0);
    let next = next.and_then(|next| GeneralizedTime::from_der(next.data).ok()).map(|(_, time)| time);
    let next_update = next.and_then(|time| ASN1Time::from_timestamp(time.utc_datetime().ok()?.unix_timestamp()).ok());
    Some(Single { serial: trimmed(serial.data), good: status.tag().0 == 0, next_update })
}

/// One element that is all there is.
fn whole(bytes: &[u8]) -> Option<Any<'_>> {
    Any::from_der(bytes).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, any)| any)
}

/// The elements of a sequence; up to the first that is damaged.
fn parts(mut bytes: &[u8]) -> Vec<Any<'_>> {
    let mut parts = Vec::new();
    while let Ok((rest, part)) = Any::from_der(bytes) {
        parts.push(part);
        bytes = rest;
    }
    parts
}

/// A number without the zeros before it.
fn trimmed(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}
