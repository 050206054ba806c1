//! How the values of a listener's HTTPS keys are written.

use std::path::PathBuf;

use http::{HeaderName, StatusCode};

use super::{Plain, Written, file, one_of};
use crate::config::model::{Alpn, TlsVersion, Verify};

/// A file that gofe reads.
#[derive(Debug, Clone)]
pub(in crate::config) struct FilePath(pub(in crate::config) PathBuf);

impl Written for FilePath {
    const WHAT: &'static str = "a file, as in `file:site.pem`";

    /// The text is not repeated: somebody may have put a private key in the place of its file.
    fn read(text: &str) -> Result<Self, String> {
        match text.strip_prefix("file:") {
            Some(path) => file(path).map(Self),
            None => Err("this names no file\nwrite `file:PATH`, relative to the folder of this file".to_owned()),
        }
    }
}

/// The name of a header field that gofe sets.
#[derive(Debug, Clone)]
pub(in crate::config) struct FieldName(pub(in crate::config) HeaderName);

impl Written for FieldName {
    const WHAT: &'static str = "a header's name, as in `x-client-cert-subject`";

    fn read(text: &str) -> Result<Self, String> {
        HeaderName::from_bytes(text.as_bytes()).map(Self).map_err(|_| "no header field has this name".to_owned())
    }
}

/// The status of a redirect.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct RedirectStatus(pub(in crate::config) StatusCode);

impl Written for RedirectStatus {
    const WHAT: &'static str = "301, 302, 307 or 308";

    fn read(_text: &str) -> Result<Self, String> {
        Err("this is not a redirect's status\nwrite 301, 302, 307 or 308".to_owned())
    }

    fn read_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Number(number @ (301 | 302 | 307 | 308)) => {
                StatusCode::from_u16(u16::try_from(number).ok()?).ok().map(Self)
            }
            _ => None,
        }
    }
}

impl Written for TlsVersion {
    const WHAT: &'static str = "`1.2` or `1.3`";

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "1.0" | "1.1" => Err(format!("TLS {text} is not spoken (RFC 8996)\nwrite `1.2` or `1.3`")),
            _ => one_of(text, &[("1.2", Self::Tls12), ("1.3", Self::Tls13)]),
        }
    }

    /// Without quotes YAML makes a number of it.
    fn read_plain(plain: Plain) -> Option<Self> {
        match plain {
            Plain::Fraction(1.2) => Some(Self::Tls12),
            Plain::Fraction(1.3) => Some(Self::Tls13),
            _ => None,
        }
    }
}

words! {
    Alpn, "`h2` or `http/1.1`":
        "h2" => Self::Http2, "http/1.1" => Self::Http11;
    Verify, "`required` or `optional`":
        "required" => Self::Required, "optional" => Self::Optional;
}
