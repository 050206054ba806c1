//! What a request must be before anybody looks at it: one host, one form of target, one meaning of its path.

use http::header::{COOKIE, HOST};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, request};
use parking_lot::Mutex;

use super::rescue::Refusal;

const EARLY_DATA: HeaderName = HeaderName::from_static("early-data");

/// The host of the last request of a connection, where it was right: a client asks for the same host again and again.
#[derive(Default)]
pub(super) struct LastHost(Mutex<Box<[u8]>>);

impl LastHost {
    /// Whether a value is a host.
    fn admits(&self, value: &HeaderValue) -> bool {
        let mut last = self.0.lock();
        if **last == *value.as_bytes() {
            return true;
        }
        let admitted = is_host(value);
        if admitted {
            *last = value.as_bytes().into();
        }
        admitted
    }
}

/// Checks a request and brings it into one form: the target in origin-form (RFC 9112, section 3.2.1), and one `Host`.
///
/// What HTTP/2 and HTTP/3 carry and a head in text does not is refused, and so are more than `most` fields: of HTTP/1
/// all of it was seen to when its text was read. A host that is the same as the `last` is not looked at again.
pub(super) fn admit(parts: &mut request::Parts, most: usize, last: &LastHost) -> Result<(), Refusal> {
    if parts.version >= Version::HTTP_2 {
        binary_fields(&mut parts.headers, most)?;
    }
    if parts.method == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    if let Some(host) = host(parts, last)? {
        parts.headers.insert(HOST, host);
    }
    if parts.version >= Version::HTTP_2 {
        join_cookies(&mut parts.headers);
    }
    origin_form(parts)
}

/// Checks a request that was sent before its client's handshake was complete, and says so to all who look at it: it may be
/// a replay (RFC 8470, sections 3 and 5.1). What is not safe to be done twice must be asked for again.
#[cold]
pub(super) fn early(parts: &mut request::Parts, wishes: bool) -> Result<(), Refusal> {
    if wishes || !parts.method.is_safe() {
        return Err(Refusal::TooEarly);
    }
    parts.headers.insert(EARLY_DATA, HeaderValue::from_static("1"));
    Ok(())
}

/// Checks the fields of a message in frames (RFC 9113, section 8.2.1), and puts its cookies into one field, as HTTP/1 has
/// them (section 8.2.3). Names in upper case, CR, LF and NUL, fields of the connection, and pseudo-fields where they do not
/// belong have been refused by h2 and h3.
fn binary_fields(headers: &mut HeaderMap, most: usize) -> Result<(), Refusal> {
    if headers.len() > most {
        return Err(Refusal::TooManyFields);
    }
    let mut cookies = 0;
    for (name, value) in headers.iter() {
        let blank = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        if blank(value.as_bytes().first()) || blank(value.as_bytes().last()) {
            return Err(Refusal::Field);
        }
        cookies += usize::from(name == COOKIE);
    }
    if cookies > 1 {
        let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        let cookie = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).map_err(|_| Refusal::Field)?;
        headers.insert(COOKIE, cookie);
    }
    Ok(())
}

/// The one host that the request names (RFC 9112, section 3.2; RFC 9113, section 8.3.1), where `Host` does not say it.
fn host(parts: &request::Parts, last: &LastHost) -> Result<Option<HeaderValue>, Refusal> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let field = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::Host);
    }
    let target = parts.uri.authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    let host = match (target, field, parts.version) {
        (Some(Ok(target)), Some(field), Version::HTTP_2 | Version::HTTP_3) if target != field => Err(Refusal::Host),
        // A target in absolute-form takes the place of Host, which must be there all the same.
        (Some(Ok(_)), None, Version::HTTP_11) => Err(Refusal::Host),
        (Some(Ok(target)), ..) => Ok(Some(target)),
        (Some(Err(_)), ..) => Err(Refusal::Host),
        (None, Some(field), _) if !field.is_empty() && last.admits(field) => return Ok(None),
        // HTTP/1.0 knows no Host; an upstream that speaks HTTP/1.1 needs one.
        (None, None, Version::HTTP_10 | Version::HTTP_09) => Ok(Some(HeaderValue::from_static("localhost"))),
        (None, ..) => Err(Refusal::Host),
    }?;
    if host.as_ref().is_some_and(is_host) { Ok(host) } else { Err(Refusal::Host) }
}

/// Whether it is a host, with a port or without, and nothing else.
fn is_host(value: &HeaderValue) -> bool {
    let authority: Option<Authority> = value.to_str().ok().and_then(|host| host.parse().ok());
    authority.is_some_and(|authority| !authority.as_str().contains('@'))
}

/// One `Cookie` of many: HTTP/2 may split it, and others cannot put it together (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let all: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

fn origin_form(parts: &mut request::Parts) -> Result<(), Refusal> {
    if parts.uri.authority().is_some() {
        let path = parts.uri.path_and_query().cloned();
        parts.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    }
    match parts.uri.path() {
        "*" if parts.method == Method::OPTIONS => Ok(()),
        path if path.starts_with('/') => Ok(()),
        _ => Err(Refusal::Target),
    }
}
