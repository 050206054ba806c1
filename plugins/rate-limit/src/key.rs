//! What is counted apart.

use std::fmt::Write;

use gofe_plugin::Request;
use gofe_plugin::credential::is_token;
use serde::{Deserialize, Deserializer, de};
use sha2::{Digest, Sha256};

/// The longest value that is a key by itself. A longer one is represented by its digest, so that clients with long
/// headers cannot fill the proxy's memory.
const LONGEST: usize = 64;

/// One part of a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    ClientIp,
    Route,
    Header(String),
    Cookie(String),
    Attribute(String),
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| {
            let expected = "`client-ip`, `route`, `header:NAME`, `cookie:NAME`, `claim:NAME` or `attribute:NAME`";
            de::Error::custom(format!("`{text}` is no key for a limit; expected {expected}"))
        })
    }
}

fn parse(text: &str) -> Option<Part> {
    match text.split_once(':') {
        None if text == "client-ip" => Some(Part::ClientIp),
        None if text == "route" => Some(Part::Route),
        Some(("header", name)) if is_token(name) => Some(Part::Header(name.to_ascii_lowercase())),
        Some(("cookie", name)) if is_token(name) => Some(Part::Cookie(name.to_owned())),
        Some(("claim", name)) if !name.is_empty() => Some(Part::Attribute(format!("jwt.{name}"))),
        Some(("attribute", name)) if !name.is_empty() => Some(Part::Attribute(name.to_owned())),
        _ => None,
    }
}

/// The key of this request; nothing where it lacks a part.
pub(crate) fn read(parts: &[Part], request: &Request) -> Option<String> {
    if let [part] = parts {
        return value(part, request);
    }
    let mut key = String::new();
    for part in parts {
        let value = value(part, request)?;
        // With its length before it, no value can pass for two.
        let _ = write!(key, "{}:{value}", value.len());
    }
    Some(key)
}

fn value(part: &Part, request: &Request) -> Option<String> {
    let bytes = match part {
        Part::ClientIp => return Some(request.connection().client_address()),
        Part::Route => return Some(request.connection().route()),
        Part::Header(name) => request.header(name)?,
        Part::Cookie(name) => request.cookie(name)?.into_bytes(),
        Part::Attribute(name) => request.attributes().get(name)?,
    };
    match String::from_utf8(bytes) {
        Ok(text) if text.is_empty() => None,
        Ok(text) if text.len() <= LONGEST => Some(text),
        Ok(text) => Some(digest(text.as_bytes())),
        Err(error) => Some(digest(error.as_bytes())),
    }
}

fn digest(bytes: &[u8]) -> String {
    let mut text = String::with_capacity("sha256:".len() + 64);
    text.push_str("sha256:");
    for byte in Sha256::digest(bytes) {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or_default());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read() {
        assert_eq!(parse("client-ip"), Some(Part::ClientIp));
        assert_eq!(parse("header:X-User"), Some(Part::Header("x-user".to_owned())));
        assert_eq!(parse("claim:sub"), Some(Part::Attribute("jwt.sub".to_owned())));
        for text in ["", "ip", "header", "header:", "header:a b", "claim:", "client-ip:x"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
