//! Fields that belong to one connection, and fields by which a proxy says what it stands between (RFC 9110,
//! section 7.6; RFC 7239).
//!
//! All of this runs for every request, so the usual message pays one pass over its names and no lookup.

use std::fmt::Write;
use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, Entry, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
    UPGRADE, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use parking_lot::Mutex;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Removes from a request what is meant for this connection only: `Connection` and the fields it names,
/// `Keep-Alive`, `Proxy-Connection`, `Transfer-Encoding`, `Upgrade`, `HTTP2-Settings`, and `TE` but for `trailers`.
///
/// `Proxy-Authorization` goes too: gofe is a gateway and no proxy that a client chose, so these credentials are
/// for nobody behind it. `Trailer` stays, as trailers are passed on. A request that asks for an upgrade goes on as
/// an ordinary one, which RFC 9110, section 7.8, allows.
///
/// A client cannot name away [the fields that gofe or the framing depend on](is_guarded). It can name away any
/// other, such as `Authorization`: this happens before a plugin looks, which then sees a request without
/// credentials.
pub fn strip_request(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| is_hop(name.as_str())) {
        return;
    }
    strip_nominated(headers);
    for name in [&KEEP_ALIVE, &PROXY_CONNECTION, &HTTP2_SETTINGS] {
        headers.remove(name);
    }
    for name in [PROXY_AUTHORIZATION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    let trailers = headers.get_all(TE).iter().any(|value| has_token(value, "trailers"));
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    } else {
        headers.remove(TE);
    }
}

/// Removes from a response what is meant for this connection only: `Connection` and the fields it names,
/// `Keep-Alive`, `Proxy-Connection`, `Proxy-Authenticate`, `Transfer-Encoding`, `Upgrade`.
///
/// Where `Transfer-Encoding` framed the body, a `Content-Length` beside it says nothing and goes as well
/// (RFC 9112, section 6.3).
pub fn strip_response(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| is_hop(name.as_str())) {
        return;
    }
    strip_nominated(headers);
    headers.remove(&KEEP_ALIVE);
    headers.remove(&PROXY_CONNECTION);
    for name in [PROXY_AUTHENTICATE, UPGRADE, TE] {
        headers.remove(name);
    }
    if headers.remove(TRANSFER_ENCODING).is_some() {
        headers.remove(CONTENT_LENGTH);
    }
}

/// Adds gofe to the `Via` of a response that came in `version`.
pub fn via(headers: &mut HeaderMap, version: Version) {
    let received = match version {
        Version::HTTP_2 => "2 gofe",
        Version::HTTP_10 => "1.0 gofe",
        _ => "1.1 gofe",
    };
    headers.append(VIA, HeaderValue::from_static(received));
}

/// What gofe tells upstreams about a client's connection; made once for the connection.
#[derive(Debug)]
pub struct Peer {
    address: HeaderValue,
    scheme: HeaderValue,
    /// `Forwarded` up to the host.
    prefix: Box<str>,
    /// `Forwarded` behind the host: the proxies between the client and gofe.
    suffix: Box<str>,
    /// The last `Host` and the `Forwarded` made of it: a connection asks for the same host again and again.
    last: Mutex<Option<(HeaderValue, HeaderValue)>>,
}

impl Peer {
    /// A client at `address` that speaks `http`, or `https` where `secure` is set.
    pub fn new(address: IpAddr, secure: bool) -> Self {
        Self::through(address, &[], secure)
    }

    /// A client that speaks to gofe through proxies that it trusts, the nearest to gofe last.
    pub fn through(address: IpAddr, proxies: &[IpAddr], secure: bool) -> Self {
        let address = address.to_canonical();
        let scheme = if secure { "https" } else { "http" };
        let mut prefix = String::with_capacity(64);
        let written = match address {
            IpAddr::V4(v4) => write!(prefix, "for={v4};proto={scheme}"),
            IpAddr::V6(v6) => write!(prefix, "for=\"[{v6}]\";proto={scheme}"),
        };
        debug_assert!(written.is_ok(), "a String takes all that is written");
        let mut text = address.to_string();
        let mut suffix = String::new();
        for proxy in proxies {
            text = format!("{text}, {proxy}");
            suffix += &if proxy.is_ipv6() { format!(", for=\"[{proxy}]\"") } else { format!(", for={proxy}") };
        }
        let text = HeaderValue::try_from(text);
        Self {
            address: text.unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            scheme: HeaderValue::from_static(scheme),
            prefix: prefix.into(),
            suffix: suffix.into(),
            last: Mutex::new(None),
        }
    }

    /// Says in a request who sent it: `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`, `Forwarded`
    /// (RFC 7239) and `Via` (RFC 9110, section 7.6.3). `version` is the one that the request came in. Call it while
    /// `Host` is still the client's.
    ///
    /// What the client itself said in `Forwarded`, any `X-Forwarded-…` and `X-Real-IP` is dropped: an upstream that
    /// decides by these fields must not be told by anybody who can connect. `Via` is no such field and grows. What
    /// proxies say that a listener trusts is in this peer already (see [`super::origin`]).
    pub fn forward(&self, headers: &mut HeaderMap, version: Version) {
        if headers.keys().any(|name| is_foreign(name.as_str())) {
            drop_foreign(headers);
        }
        headers.insert(X_FORWARDED_FOR, self.address.clone());
        headers.insert(X_FORWARDED_PROTO, self.scheme.clone());
        let host = headers.get(HOST).cloned();
        headers.insert(FORWARDED, self.forwarded(host.as_ref()));
        match host {
            Some(host) => headers.insert(X_FORWARDED_HOST, host),
            None => headers.remove(X_FORWARDED_HOST),
        };
        via(headers, version);
    }

    fn forwarded(&self, host: Option<&HeaderValue>) -> HeaderValue {
        let unknown = HeaderValue::from_static("");
        let host = host.unwrap_or(&unknown);
        let mut last = self.last.lock();
        if let Some((asked, made)) = &*last
            && asked == host
        {
            return made.clone();
        }
        let made = self.write_forwarded(host);
        // A copy: what came in shares memory with all that was read, and a connection at rest would keep that.
        *last = HeaderValue::from_bytes(host.as_bytes()).ok().map(|host| (host, made.clone()));
        made
    }

    fn write_forwarded(&self, host: &HeaderValue) -> HeaderValue {
        let mut text = String::with_capacity(self.prefix.len() + host.len() + self.suffix.len() + 16);
        text.push_str(&self.prefix);
        if let Ok(host) = host.to_str()
            && !host.is_empty()
        {
            text.push_str(";host=\"");
            for c in host.chars() {
                if matches!(c, '"' | '\\') {
                    text.push('\\');
                }
                text.push(c);
            }
            text.push('"');
        }
        text.push_str(&self.suffix);
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("for=unknown"))
    }
}

/// Fields that make a message take the long way. `te` is among them because it is kept in one form only.
fn is_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// Fields that `Connection` cannot name away: the framing's, and those that gofe itself sets.
fn is_guarded(name: &str) -> bool {
    matches!(
        name,
        "host" | "content-length" | "transfer-encoding" | "te" | "via" | "forwarded" | "trailer" | "early-data"
    ) || name.starts_with("x-forwarded-")
}

/// Fields about the client that only gofe may set, besides those that it always overwrites.
fn is_foreign(name: &str) -> bool {
    match name.strip_prefix("x-") {
        Some("forwarded-for" | "forwarded-proto" | "forwarded-host") | None => false,
        Some(rest) => rest == "real-ip" || rest.starts_with("forwarded-"),
    }
}

#[cold]
fn drop_foreign(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| is_foreign(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Removes `Connection` and what it names.
fn strip_nominated(headers: &mut HeaderMap) {
    let Entry::Occupied(entry) = headers.entry(CONNECTION) else { return };
    let (_, values) = entry.remove_entry_mult();
    let values: Vec<HeaderValue> = values.collect();
    for value in &values {
        for token in tokens(value) {
            // `close` and `keep-alive` are what nearly every `Connection` says; neither needs a lookup.
            if token.eq_ignore_ascii_case(b"close") || token.eq_ignore_ascii_case(b"keep-alive") {
                continue;
            }
            if let Ok(name) = HeaderName::from_bytes(token)
                && !is_guarded(name.as_str())
            {
                headers.remove(name);
            }
        }
    }
}

/// The members of a comma-separated list.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Whether a list has a member, whose parameters do not count.
pub(super) fn has_token(value: &HeaderValue, wanted: &str) -> bool {
    tokens(value).any(|token| {
        let name = token.split(|b| *b == b';').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes())
    })
}

#[cfg(test)]
mod tests;
