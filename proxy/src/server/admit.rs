//! What a request must be before anybody looks at it: one host, one form of target, one meaning of its path.

use http::header::{COOKIE, HOST};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Uri, Version, request};

use super::rescue::Refusal;

/// Checks a request and brings it into one form: the target in origin-form (RFC 9112, section 3.2.1), and one `Host`.
pub(super) fn admit(parts: &mut request::Parts) -> Result<(), Refusal> {
    if parts.method == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    let host = host(parts)?;
    let authority: Authority = host.to_str().ok().and_then(|host| host.parse().ok()).ok_or(Refusal::Host)?;
    if authority.as_str().contains('@') {
        return Err(Refusal::Host);
    }
    parts.headers.insert(HOST, host);
    if parts.version >= Version::HTTP_2 {
        join_cookies(&mut parts.headers);
    }
    origin_form(parts)
}

/// The one host that the request names (RFC 9112, section 3.2; RFC 9113, section 8.3.1).
fn host(parts: &request::Parts) -> Result<HeaderValue, Refusal> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let field = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::Host);
    }
    let target = parts.uri.authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    match (target, field, parts.version) {
        (Some(Ok(target)), Some(field), Version::HTTP_2 | Version::HTTP_3) if target != field => Err(Refusal::Host),
        // A target in absolute-form takes the place of Host, which must be there all the same.
        (Some(Ok(_)), None, Version::HTTP_11) => Err(Refusal::Host),
        (Some(Ok(target)), ..) => Ok(target),
        (Some(Err(_)), ..) => Err(Refusal::Host),
        (None, Some(field), _) if !field.is_empty() => Ok(field.clone()),
        // HTTP/1.0 knows no Host; an upstream that speaks HTTP/1.1 needs one.
        (None, None, Version::HTTP_10 | Version::HTTP_09) => Ok(HeaderValue::from_static("localhost")),
        (None, ..) => Err(Refusal::Host),
    }
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
