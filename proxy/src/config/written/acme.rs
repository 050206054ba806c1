//! How the values of a certificate that gofe gets by itself are written.

use http::Uri;

use super::{Written, one_of};
use crate::config::model::Challenge;

/// The URL of an authority's directory.
#[derive(Debug, Clone)]
pub(in crate::config) struct Directory(pub(in crate::config) String);

impl Written for Directory {
    const WHAT: &'static str = "the URL of a directory, as in `https://acme-v02.api.letsencrypt.org/directory`";

    fn read(text: &str) -> Result<Self, String> {
        let help = "write it as in `https://acme-v02.api.letsencrypt.org/directory`";
        let url: Uri = text.parse().map_err(|_| format!("`{text}` is not a URL\n{help}"))?;
        if url.scheme_str() != Some("https") || url.host().is_none_or(str::is_empty) {
            return Err(format!("an authority is asked over HTTPS only\n{help}"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Whom an authority may write to.
#[derive(Debug, Clone)]
pub(in crate::config) struct Contact(pub(in crate::config) String);

impl Written for Contact {
    const WHAT: &'static str = "a URL, as in `mailto:ops@example.com`";

    fn read(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("mailto", address)) if address.contains('@') => Ok(Self(text.to_owned())),
            Some(_) => Err("an authority writes to addresses that begin with `mailto:`".to_owned()),
            None => Err(format!("`{text}` is not a URL\nwrite `mailto:{text}`")),
        }
    }
}

words! {
    Challenge, "`tls-alpn-01` or `http-01`":
        "tls-alpn-01" => Self::TlsAlpn01, "http-01" => Self::Http01;
}
