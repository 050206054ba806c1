//! The one place where an error becomes a response. Clients learn a status and its name; what happened goes to the log
//! and to the metrics.

use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{StatusCode, Version};
use tracing::{debug, warn};

use crate::chain::Reply;
use crate::http::BodyError;
use crate::upstream;

/// A request that is refused before a route is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// No host, two hosts, or something that is no host.
    #[error("the request does not name one host")]
    Host,
    /// The target has no form that a proxy serves.
    #[error("the target has no form that is served here")]
    Target,
    /// `CONNECT` asks for a tunnel.
    #[error("CONNECT is not served")]
    Connect,
    /// A field that HTTP/1 could not carry as it stands.
    #[error("a field's value begins or ends with a blank")]
    Field,
    /// More fields than `limits.header-count`.
    #[error("the request has too many fields")]
    TooManyFields,
    /// The path has `.` or `..` segments or the like, plain or encoded: an upstream may read it as another path than the
    /// one that the route was chosen by.
    #[error("the path can be read in two ways")]
    AmbiguousPath,
    /// A request that may be a replay, and asks for more than to look at something (RFC 8470, section 5.2).
    #[error("the request came before its client's TLS handshake was complete, and is not safe to be done twice")]
    TooEarly,
    /// A tunnel by HTTP/2 that the route or its upstream does not have.
    #[error("the change of protocol is not served here")]
    Upgrade,
}

/// Why gofe itself answers.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The request is refused as it stands.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// No route takes it.
    #[error("no route takes the request")]
    NoRoute,
    /// The request's body broke off or is too long.
    #[error("the request's body: {0}")]
    Body(BodyError),
    /// The response's body, which a plugin must see whole, broke off.
    #[error("the response's body: {0}")]
    ResponseBody(BodyError),
    /// The upstream gave no response.
    #[error("{0}")]
    Upstream(#[from] upstream::Error),
    /// The time is over that the route, the client or a plugin gives the request.
    #[error("no response within the request's timeout of {0:?}")]
    Timeout(Duration),
    /// The route has as many requests in flight as it may.
    #[error("the route has as many requests in flight as it may")]
    Busy,
    /// The route makes errors on purpose.
    #[error("an error that the route makes on purpose")]
    Injected(StatusCode),
    /// A plugin chose an upstream that the configuration no longer has.
    #[error("there is no upstream `{0}`")]
    NoUpstream(String),
}

impl Trouble {
    /// The word in metrics, logs and plugins' summaries.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Refused(Refusal::Host) => "bad-host",
            Self::Refused(Refusal::Target) => "bad-target",
            Self::Refused(Refusal::Connect) => "connect-refused",
            Self::Refused(Refusal::Field) => "bad-header",
            Self::Refused(Refusal::TooManyFields) => "too-many-headers",
            Self::Refused(Refusal::AmbiguousPath) => "ambiguous-path",
            Self::Refused(Refusal::Upgrade) => "upgrade-refused",
            Self::Refused(Refusal::TooEarly) => "too-early",
            Self::NoRoute => "no-route",
            Self::Body(error) | Self::Upstream(upstream::Error::RequestBody(error)) => match error {
                BodyError::TooLarge(_) => "body-too-large",
                BodyError::Idle(_) => "body-timeout",
                BodyError::Slow(_) => "body-too-slow",
                BodyError::Sender(_) | BodyError::Broken(_) => "client-broke-off",
                BodyError::Ended => "plugin-error",
            },
            Self::ResponseBody(_) => "upstream-broke-off",
            Self::Upstream(error) => match error.kind() {
                "no-endpoint" => "no-endpoint",
                "circuit-open" => "circuit-open",
                "overloaded" => "upstream-overloaded",
                "connect" => "upstream-refused",
                "connect-timeout" => "upstream-connect-timeout",
                "tls" => "upstream-tls",
                "response-timeout" => "upstream-timeout",
                "reset" => "upstream-reset",
                component if component.starts_with("component-") => component,
                _ => "upstream-bad-response",
            },
            Self::Timeout(_) => "upstream-timeout",
            Self::NoUpstream(_) => "no-endpoint",
            Self::Busy => "route-busy",
            Self::Injected(_) => "fault-injected",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Refused(Refusal::Connect) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Refused(Refusal::TooManyFields) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            // RFC 9220, section 3.
            Self::Refused(Refusal::Upgrade) => StatusCode::NOT_IMPLEMENTED,
            Self::Refused(Refusal::TooEarly) => StatusCode::TOO_EARLY,
            Self::Refused(_) => StatusCode::BAD_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Body(error) => match error {
                BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
                BodyError::Idle(_) | BodyError::Slow(_) => StatusCode::REQUEST_TIMEOUT,
                BodyError::Sender(_) | BodyError::Broken(_) => StatusCode::BAD_REQUEST,
                BodyError::Ended => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Self::ResponseBody(_) => StatusCode::BAD_GATEWAY,
            Self::Upstream(error) => error.status(),
            Self::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::NoUpstream(_) | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Injected(status) => *status,
        }
    }

    /// Whether the connection's framing is in doubt, so that nothing more may be read from it.
    pub(super) fn closes(&self) -> bool {
        matches!(self, Self::Refused(refusal) if *refusal != Refusal::TooEarly)
            || matches!(self, Self::Body(_) | Self::Upstream(upstream::Error::RequestBody(_)))
    }
}

/// The response to an error.
pub(super) fn rescue(trouble: &Trouble, version: Version, route: &str) -> Reply {
    let reason = trouble.reason();
    match trouble {
        Trouble::Upstream(upstream::Error::RequestBody(_))
        | Trouble::Refused(_)
        | Trouble::NoRoute
        | Trouble::Injected(_)
        | Trouble::Body(_) => {
            debug!(route, reason, "{trouble}");
        }
        _ => warn!(route, reason, "{trouble}"),
    }
    let mut reply = Reply::plain(trouble.status());
    if trouble.closes() && version < Version::HTTP_2 {
        reply.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if reply.status == StatusCode::METHOD_NOT_ALLOWED {
        let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        reply.headers.insert(http::header::ALLOW, methods);
    }
    reply
}
