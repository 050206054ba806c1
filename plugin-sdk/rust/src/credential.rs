//! Where clients put credentials: a header, a bearer token, a cookie or a query parameter.

use serde::{Deserialize, Deserializer, de};

use crate::{Error, Request};

/// A place of a request where a credential may be. In a configuration it is a word: `header:x-api-key`, `bearer`
/// (`Authorization: Bearer …`, RFC 6750), `cookie:NAME` or `query:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The whole value of this header.
    Header(String),
    /// The `Authorization` header behind the scheme `Bearer`.
    Bearer,
    /// This cookie.
    Cookie(String),
    /// This query parameter, decoded.
    Query(String),
}

impl Place {
    /// Reads a place as it is written in a configuration.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "bearer" {
            return Some(Self::Bearer);
        }
        match text.split_once(':').filter(|(_, name)| !name.is_empty())? {
            ("header", name) if is_token(name) => Some(Self::Header(name.to_ascii_lowercase())),
            ("cookie", name) if is_token(name) => Some(Self::Cookie(name.to_owned())),
            ("query", name) => Some(Self::Query(name.to_owned())),
            _ => None,
        }
    }

    /// The credential at this place; nothing where there is none or an empty one.
    #[must_use]
    pub fn find(&self, request: &Request) -> Option<Vec<u8>> {
        let found = match self {
            Self::Header(name) => request.header(name),
            Self::Bearer => request.header("authorization").and_then(|value| bearer(&value)),
            Self::Cookie(name) => request.cookie(name).map(String::into_bytes),
            Self::Query(name) => request.query(name).map(String::into_bytes),
        };
        found.filter(|credential| !credential.is_empty())
    }

    /// Removes what is at this place, so that the upstream does not see it.
    pub fn remove(&self, request: &Request) -> Result<(), Error> {
        match self {
            Self::Header(name) => request.remove_header(name)?,
            Self::Bearer => request.remove_header("authorization")?,
            Self::Cookie(name) => request.remove_cookie(name)?,
            Self::Query(name) => request.remove_query(name)?,
        }
        Ok(())
    }
}

/// Whether a text is a token (RFC 9110, section 5.6.2), as the names of headers and cookies are.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
}

/// The credential of an `Authorization` header with the scheme `Bearer`, which is compared without case (RFC 9110,
/// section 11.1).
fn bearer(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii().to_vec())
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let expected = "expected `header:NAME`, `bearer`, `cookie:NAME` or `query:NAME`";
            de::Error::custom(format!("`{text}` is no place for a credential; {expected}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        assert_eq!(Place::parse("header:X-Api-Key"), Some(Place::Header("x-api-key".to_owned())));
        assert_eq!(Place::parse("bearer"), Some(Place::Bearer));
        assert_eq!(Place::parse("cookie:session"), Some(Place::Cookie("session".to_owned())));
        assert_eq!(Place::parse("query:key"), Some(Place::Query("key".to_owned())));
        for text in ["", "header", "header:", "header:a b", "x-api-key", "Bearer"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_bearer_scheme_has_no_case() {
        assert_eq!(bearer(b"bEARER  abc ").as_deref(), Some(&b"abc"[..]));
        assert_eq!(bearer(b"Basic abc"), None);
        assert_eq!(bearer(b"Bearer"), None);
    }
}
