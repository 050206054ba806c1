//! A certificate's subject as text (RFC 4514): one that reads in one way only, whatever its parts hold.

use std::fmt::Write;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Types that have a short name (RFC 4514, section 3).
const SHORT: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// The subject, the part that is nearest to it first: `CN=alice,O=Example`. It is ASCII without control characters.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name.iter_rdn().map(|part| part.iter().map(pair).collect::<Vec<_>>().join("+")).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn pair(pair: &AttributeTypeAndValue<'_>) -> String {
    let oid = pair.attr_type().to_id_string();
    let short = SHORT.iter().find(|(id, _)| *id == oid).map(|(_, short)| *short);
    match (short, pair.as_str()) {
        (Some(short), Ok(value)) => format!("{short}={}", escaped(value)),
        // Section 2.4: a type without a name, and a value without a text, as bytes.
        _ => format!("{}=#{}", short.unwrap_or(&oid), hex(pair)),
    }
}

/// Section 2.4: what has a meaning between values gets a backslash; all that is not printable ASCII becomes its bytes.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let edge = (at == 0 && matches!(byte, b' ' | b'#')) || (at == last && byte == b' ');
        // Writing to a String does not fail.
        let _ = match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | b'=' => write!(text, "\\{}", char::from(byte)),
            _ if edge => write!(text, "\\{}", char::from(byte)),
            b' '..=b'~' => write!(text, "{}", char::from(byte)),
            _ => write!(text, "\\{byte:02X}"),
        };
    }
    text
}

/// The value in BER.
fn hex(pair: &AttributeTypeAndValue<'_>) -> String {
    use x509_parser::asn1_rs::ToDer;
    let bytes = pair.attr_value().to_der_vec().unwrap_or_default();
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
