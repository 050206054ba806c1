//! Requests in the form that each protocol wants.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE};
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Uri, Version};
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
pub fn is_repeatable(method: &Method, body: &Body) -> bool {
    let idempotent = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
        || matches!(*method, Method::PUT | Method::DELETE);
    idempotent && body.is_end_stream()
}

/// Makes a [repeatable](is_repeatable) request once more, as it was when it was dispatched first.
pub type Again<'a> = &'a (dyn Fn() -> Box<Request<Body>> + Sync);

/// What a request is sent from a second time, where nothing came back the first.
pub(super) enum Spare<'a> {
    /// It is sent once.
    None,
    /// A copy, made before the request was sent.
    Copy(Box<Request<Body>>),
    /// Who sent it makes it again.
    Again(Again<'a>),
}

impl<'a> Spare<'a> {
    /// What to keep of a request that is about to be sent.
    pub(super) fn of(request: &Request<Body>, again: Option<Again<'a>>) -> Self {
        match again {
            _ if !is_repeatable(request.method(), request.body()) => Self::None,
            Some(again) => Self::Again(again),
            None => Self::Copy(copy(request)),
        }
    }

    /// The request for the second time. Its form may be the one that it had before it was sent.
    pub(super) fn take(self) -> Option<Box<Request<Body>>> {
        match self {
            Self::None => None,
            Self::Copy(copy) => Some(copy),
            Self::Again(again) => {
                let mut request = again();
                settle_length(&mut request);
                Some(request)
            }
        }
    }
}

/// A second copy of a [repeatable](is_repeatable) request. Values are shared, not copied.
pub(super) fn copy(request: &Request<Body>) -> Box<Request<Body>> {
    let mut copy = Box::new(Request::new(Body::Empty));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}
