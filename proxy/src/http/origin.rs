//! Who a client is, where proxies in front of gofe say so.
//!
//! A proxy appends the address of its own peer to `X-Forwarded-For` or `Forwarded`. So the list is read from its end,
//! for as long as those who wrote it are trusted: the first address that is none of theirs is the client, and what is
//! before it is the client's own invention.

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::{ClientHeader, TrustedProxies};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The most proxies that are followed.
const MOST: usize = 32;

/// Whom a request comes from.
#[derive(Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client: the nearest address that is no trusted proxy's.
    pub client: IpAddr,
    /// The trusted proxies between, the one that is nearest to gofe last.
    pub proxies: Vec<IpAddr>,
    /// Whether the client speaks HTTPS, where the nearest proxy says so.
    pub secure: Option<bool>,
}

/// Whom a request comes from; nothing where its peer is not trusted, or says nothing.
pub fn find(trusted: &TrustedProxies, peer: IpAddr, headers: &HeaderMap) -> Option<Origin> {
    let name = match trusted.header {
        ClientHeader::XForwardedFor => &X_FORWARDED_FOR,
        ClientHeader::Forwarded => &FORWARDED,
    };
    if !trusted.from.contains(peer) {
        return None;
    }
    let mut client = peer.to_canonical();
    let mut proxies = Vec::new();
    let mut secure = None;
    let values: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
    let members = values.iter().rev().flat_map(|value| members(value.as_bytes()).rev());
    for member in members.take(MOST) {
        if !trusted.from.contains(client) {
            break;
        }
        let (said, scheme) = match trusted.header {
            ClientHeader::XForwardedFor => (address(member), None),
            ClientHeader::Forwarded => element(member),
        };
        if proxies.is_empty() {
            secure = scheme;
        }
        // A name or something unknown: the proxy that wrote it is the last that is known.
        let Some(said) = said else { break };
        proxies.push(std::mem::replace(&mut client, said));
    }
    proxies.reverse();
    if trusted.header == ClientHeader::XForwardedFor {
        secure = headers.get(&X_FORWARDED_PROTO).and_then(|value| scheme(value.as_bytes()));
    }
    (!proxies.is_empty() || secure.is_some()).then_some(Origin { client, proxies, secure })
}

/// The members of a list, with commas inside of quotes being none.
fn members(value: &[u8]) -> std::vec::IntoIter<&[u8]> {
    split(value, b',').into_iter()
}

fn split(value: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => return !quoted && *byte == separator,
            }
            false
        })
        .map(<[u8]>::trim_ascii)
        .filter(|part| !part.is_empty())
        .collect()
}

/// An address, with a port or without.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// What an element of `Forwarded` says of its sender's peer, and of the scheme that this one spoke (RFC 7239, section 4).
fn element(text: &[u8]) -> (Option<IpAddr>, Option<bool>) {
    let (mut peer, mut secure) = (None, None);
    for pair in split(text, b';') {
        let Some(at) = pair.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (&pair[..at], &pair[at + 1..]);
        if name.eq_ignore_ascii_case(b"for") {
            peer = address(value);
        } else if name.eq_ignore_ascii_case(b"proto") {
            secure = scheme(value);
        }
    }
    (peer, secure)
}

fn scheme(text: &[u8]) -> Option<bool> {
    let text = text.trim_ascii();
    if text.eq_ignore_ascii_case(b"https") { Some(true) } else { text.eq_ignore_ascii_case(b"http").then_some(false) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Networks;

    fn origin(header: ClientHeader, peer: &str, fields: &[(&'static str, &'static str)]) -> Option<(String, usize)> {
        let from = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let trusted = TrustedProxies { from: Networks(from.to_vec()), header };
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let origin = find(&trusted, peer.parse().unwrap(), &headers)?;
        Some((origin.client.to_string(), origin.proxies.len()))
    }

    #[test]
    fn the_client_is_the_last_that_no_trusted_proxy_is() {
        let found = |peer, value| origin(ClientHeader::XForwardedFor, peer, &[("x-forwarded-for", value)]);
        let some = |client: &str, proxies| Some((client.to_owned(), proxies));
        assert_eq!(found("192.0.2.1", "198.51.100.1"), None, "its peer is not trusted");
        assert_eq!(found("10.0.0.1", "198.51.100.1"), some("198.51.100.1", 1));
        assert_eq!(found("::ffff:10.0.0.1", "198.51.100.1"), some("198.51.100.1", 1));
        assert_eq!(found("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2"), some("198.51.100.1", 2));
        assert_eq!(found("10.0.0.1", "10.0.0.9,10.0.0.2"), some("10.0.0.9", 2), "all of them are proxies");
        assert_eq!(found("10.0.0.1", "198.51.100.1:4711"), some("198.51.100.1", 1));
        assert_eq!(found("10.0.0.1", "[2001:db8::1]:4711, fd00::1"), some("2001:db8::1", 2));
        assert_eq!(found("10.0.0.1", "198.51.100.1, garbage, 10.0.0.2"), some("10.0.0.2", 1));
        assert_eq!(found("10.0.0.1", "garbage"), None);
    }

    #[test]
    fn several_fields_are_one_list() {
        let fields = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "198.51.100.1, 10.0.0.2")];
        assert_eq!(origin(ClientHeader::XForwardedFor, "10.0.0.1", &fields), Some(("198.51.100.1".to_owned(), 2)));
    }

    #[test]
    fn forwarded_is_read_with_its_quotes_and_the_other_field_is_not() {
        let found = |value| {
            let fields = [("x-forwarded-for", "9.9.9.9"), ("forwarded", value)];
            origin(ClientHeader::Forwarded, "10.0.0.1", &fields)
        };
        let some = |client: &str, proxies| Some((client.to_owned(), proxies));
        assert_eq!(found("for=1.1.1.1, For=198.51.100.1;proto=https;by=10.0.0.1"), some("198.51.100.1", 1));
        assert_eq!(found("for=\"[2001:db8::1]:47\";host=\"a,b;c\\\"\", for=10.0.0.2"), some("2001:db8::1", 2));
        assert_eq!(found("for=198.51.100.1, for=_hidden"), None);
        assert_eq!(found("for=198.51.100.1;proto=https, for=unknown;proto=https"), some("10.0.0.1", 0));
    }
}
