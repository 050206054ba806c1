//! Who may use the admin API.
//!
//! With a token: who has it. Without one the address is loopback, where not only the machine's users can send
//! requests but every web page in their browsers. A page's request gives itself away: by a `Host` that is a name of
//! the page's own when the name was made to point to loopback, or by an `Origin` when it is a POST.

use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, StatusCode, Version};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// Why a request is refused.
pub(super) type Refusal = (StatusCode, &'static str);

/// Judges requests.
#[derive(Debug)]
pub(super) struct Guard {
    /// The token's digest: comparing digests takes the same time whatever the length of what a client sends.
    token: Mutex<Option<[u8; 32]>>,
}

impl Guard {
    pub(super) fn new(token: Option<&[u8]>) -> Self {
        Self { token: Mutex::new(token.map(digest)) }
    }

    pub(super) fn set_token(&self, token: Option<&[u8]>) {
        *self.token.lock() = token.map(digest);
    }

    /// Whether the request may be answered at all.
    ///
    /// # Errors
    /// 400 for a missing or double `Host`; 403 for one that is a name, where there is no token, and for a POST from
    /// a page of another origin.
    pub(super) fn admit(&self, request: &Parts) -> Result<(), Refusal> {
        let host = host(request)?;
        if self.token.lock().is_none() {
            let local = |authority: &Authority| is_local(authority.host());
            if !host.as_ref().is_none_or(local) || !request.uri.authority().is_none_or(local) {
                return Err((StatusCode::FORBIDDEN, "the Host is neither localhost nor an address"));
            }
        }
        if request.method == Method::POST && !same_origin(request, host.as_ref()) {
            return Err((StatusCode::FORBIDDEN, "the Origin is another than this host"));
        }
        Ok(())
    }

    /// Whether the request carries the token, where one is needed.
    ///
    /// # Errors
    /// 401.
    pub(super) fn authorize(&self, request: &Parts) -> Result<(), Refusal> {
        let Some(token) = *self.token.lock() else { return Ok(()) };
        match bearer(request) {
            Some(given) if equal(&digest(given), &token) => Ok(()),
            _ => Err((StatusCode::UNAUTHORIZED, "a bearer token is needed")),
        }
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Compares in a time that does not depend on where the two differ.
fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |difference, (a, b)| black_box(difference | (a ^ b))) == 0
}

/// A header field's only value.
fn single<'r>(request: &'r Parts, name: &HeaderName) -> Option<&'r [u8]> {
    let mut values = request.headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none()).map(http::HeaderValue::as_bytes)
}

/// The token of `Authorization: Bearer …` (RFC 6750, section 2.1).
fn bearer(request: &Parts) -> Option<&[u8]> {
    let (scheme, token) = single(request, &AUTHORIZATION)?.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// The `Host` field. Only an HTTP/1.0 client may leave it away (RFC 9112, section 3.2).
fn host(request: &Parts) -> Result<Option<Authority>, Refusal> {
    let bad = (StatusCode::BAD_REQUEST, "one well-formed Host is needed");
    match request.headers.get_all(HOST).iter().count() {
        0 if request.version < Version::HTTP_11 => Ok(None),
        1 => single(request, &HOST).and_then(|host| Authority::try_from(host).ok()).map(Some).ok_or(bad),
        _ => Err(bad),
    }
}

/// Whether a host is `localhost` or an IP address, which no page can make its own name.
fn is_local(host: &str) -> bool {
    let v6 = || host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok()
        || v6().is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
}

/// Whether there is no `Origin`, or the one of a page from this very host and port.
fn same_origin(request: &Parts, host: Option<&Authority>) -> bool {
    if !request.headers.contains_key(ORIGIN) {
        return true;
    }
    let origin = single(request, &ORIGIN).and_then(|origin| std::str::from_utf8(origin).ok());
    let page = origin.and_then(|origin| origin.split_once("://")).and_then(|(_, page)| page.parse::<Authority>().ok());
    page.is_some_and(|page| Some(&page) == host)
}
