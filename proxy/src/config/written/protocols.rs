//! How the protocols that a route lets pass are written.

use super::Written;

/// A protocol that a client may change to, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct UpgradeTo(pub(in crate::config) String);

impl Written for UpgradeTo {
    const WHAT: &'static str = "a protocol as in the header `Upgrade`, for example `websocket`";

    fn read(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        // RFC 9110, section 7.8: a name, and perhaps a version behind a slash.
        let parts: Vec<_> = lower.split('/').collect();
        if parts.len() > 2 || !parts.iter().all(|part| is_token(part)) {
            return Err(format!("expected {}, found `{text}`", Self::WHAT));
        }
        match parts[0] {
            "h2c" | "h2" | "http" | "tls" => Err(format!(
                "`{text}` is gofe's own business on a connection and cannot be passed on\nclients speak HTTP/2 in \
                 cleartext without an upgrade, with prior knowledge"
            )),
            _ => Ok(Self(lower)),
        }
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
