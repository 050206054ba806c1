//! Requests in the form that each protocol wants.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE};
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};
use http_body::Body as _;

use crate::http::Body;

/// Gives a request the form of HTTP/1.1 (RFC 9112): the target in origin form, and `Host`. It has it already where it
/// was not sent by HTTP/2 before.
pub(super) fn for_http1(request: &mut Request<Body>) {
    *request.version_mut() = Version::HTTP_11;
    if request.uri().authority().is_some() {
        let parts = std::mem::take(request.uri_mut()).into_parts();
        if let Some(host) = parts.authority.and_then(|host| HeaderValue::try_from(host.as_str()).ok()) {
            request.headers_mut().insert(HOST, host);
        }
        *request.uri_mut() = parts.path_and_query.map(Uri::from).unwrap_or_default();
    }
    // RFC 9110, section 10.1.4: who sends TE says so in Connection.
    if request.headers().contains_key(TE) {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

/// Gives a request the form of HTTP/2 (RFC 9113, section 8.3): `:authority` in the place of `Host`, no field that
/// belongs to a connection. A request that has the form already keeps it.
pub(super) fn for_http2(request: &mut Request<Body>, endpoint: &Authority, secure: bool) {
    if request.uri().authority().is_some() {
        return;
    }
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = Parts::default();
    parts.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority.unwrap_or_else(|| endpoint.clone()));
    let path = std::mem::take(request.uri_mut()).into_parts().path_and_query;
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// Gives a request the form that code in gofe gets: the target in absolute form, with the scheme that the client spoke.
pub(super) fn for_service(request: &mut Request<Body>) {
    let secure = request.headers().get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    let host = request.headers().get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = Parts::default();
    parts.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(host.unwrap_or_else(|| Authority::from_static("localhost")));
    let path = std::mem::take(request.uri_mut()).into_parts().path_and_query;
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// Makes `Content-Length` say what the body is, whatever a plugin did to either: a wrong one would let the rest of
/// a body pass for the next request on a connection.
pub(super) fn settle_length(request: &mut Request<Body>) {
    let known = if request.body().is_end_stream() { Some(0) } else { request.body().size_hint().exact() };
    let (Some(known), Some(said)) = (known, request.headers().get(CONTENT_LENGTH)) else { return };
    let one = request.headers().get_all(CONTENT_LENGTH).iter().nth(1).is_none();
    if !one || said.to_str().ok().and_then(|said| said.parse().ok()) != Some(known) {
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(known));
    }
}

/// Whether a request may be sent a second time when nothing came back the first: an idempotent method (RFC 9110,
/// section 9.2.2) and no body.
pub(super) fn is_repeatable(request: &Request<Body>) -> bool {
    let method = request.method();
    let idempotent = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
        || matches!(*method, Method::PUT | Method::DELETE);
    idempotent && request.body().is_end_stream()
}

/// What a [repeatable](is_repeatable) request can be made of once more. Hardly any is: so its fields are one piece of memory,
/// and not a map whose names and values are each counted twice.
pub(super) struct Copy {
    method: Method,
    uri: Uri,
    version: Version,
    /// Of each field whether it is sensitive in one bit, the length of its name in 31, of its value in 32, name, value.
    fields: Vec<u8>,
}

impl Copy {
    pub(super) fn of(request: &Request<Body>) -> Self {
        let headers = request.headers();
        let length = headers.iter().map(|(name, value)| 8 + name.as_str().len() + value.len()).sum();
        let mut fields = Vec::with_capacity(length);
        for (name, value) in headers {
            let sensitive = u64::from(value.is_sensitive());
            let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
            // Neither is ever that long: the limits on heads are far below.
            let (Ok(names), Ok(values)) = (u32::try_from(name.len()), u32::try_from(value.len())) else { continue };
            fields.extend_from_slice(&(sensitive << 63 | u64::from(names) << 32 | u64::from(values)).to_le_bytes());
            fields.extend_from_slice(name);
            fields.extend_from_slice(value);
        }
        Self { method: request.method().clone(), uri: request.uri().clone(), version: request.version(), fields }
    }

    /// The request.
    pub(super) fn request(self) -> Box<Request<Body>> {
        let mut request = Box::new(Request::new(Body::Empty));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        let mut rest = &*self.fields;
        while let Some((lengths, after)) = rest.split_first_chunk() {
            let lengths = u64::from_le_bytes(*lengths);
            let (names, values) = ((lengths >> 32 & 0x7fff_ffff) as usize, (lengths & 0xffff_ffff) as usize);
            let Some((name, after)) = after.split_at_checked(names) else { break };
            let Some((value, after)) = after.split_at_checked(values) else { break };
            if let (Ok(name), Ok(mut value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                value.set_sensitive(lengths >> 63 == 1);
                request.headers_mut().append(name, value);
            }
            rest = after;
        }
        request
    }
}

/// Another request with this head, to be sent: values are shared, not copied.
pub(super) fn copy(request: &Request<Body>) -> Box<Request<Body>> {
    let mut copy = Box::new(Request::new(Body::Empty));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_the_same_request() {
        let request = Request::put("/a?b").version(Version::HTTP_11).header("host", "a.test").header("x-two", "1");
        let mut secret = HeaderValue::from_static("s");
        secret.set_sensitive(true);
        let request = request.header("empty", "").header("x-two", "2").header("secret", secret);
        let request = request.body(Body::Empty).unwrap();
        let copy = Copy::of(&request).request();
        assert_eq!((copy.method(), copy.uri(), copy.version()), (request.method(), request.uri(), request.version()));
        assert_eq!(copy.headers(), request.headers());
        assert!(copy.headers()["secret"].is_sensitive() && !copy.headers()["host"].is_sensitive());
    }
}
