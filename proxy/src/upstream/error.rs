//! Why there is no response from an upstream.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::chain::{Fault, FaultKind};
use crate::http::BodyError;

/// Why there is no response. The text is for the log, never for the client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The upstream has no endpoint, or none with the labels that were asked for.
    #[error("upstream {upstream}: no endpoint{}", subset_text(subset))]
    NoEndpoint {
        /// The upstream.
        upstream: Arc<str>,
        /// The labels that were asked for.
        subset: Vec<(String, String)>,
    },
    /// A circuit breaker is open.
    #[error("upstream {upstream}: the circuit breaker of {} is open", endpoint.as_deref().unwrap_or("the upstream"))]
    CircuitOpen {
        /// The upstream.
        upstream: Arc<str>,
        /// The endpoint, where it is that of one.
        endpoint: Option<Arc<str>>,
    },
    /// The upstream has as many requests or connections as it may have.
    #[error("upstream {upstream}: over the limit on {limit}")]
    Overloaded {
        /// The upstream.
        upstream: Arc<str>,
        /// Which limit.
        limit: &'static str,
    },
    /// No connection could be made: refused, unreachable, or the name is unknown.
    #[error("upstream {upstream}: no connection to {endpoint}: {source}")]
    Connect {
        /// The upstream.
        upstream: Arc<str>,
        /// The endpoint tried last.
        endpoint: Arc<str>,
        /// What the system says.
        source: io::Error,
    },
    /// No connection was made in time.
    #[error("upstream {upstream}: no connection to {endpoint} within {after:?}")]
    ConnectTimeout {
        /// The upstream.
        upstream: Arc<str>,
        /// The endpoint tried last.
        endpoint: Arc<str>,
        /// The upstream's `connect-timeout`.
        after: Duration,
    },
    /// There was a connection, and no TLS on it: a certificate that does not verify, or no TLS at all.
    #[error("upstream {upstream}: no TLS with {endpoint}: {source}")]
    Tls {
        /// The upstream.
        upstream: Arc<str>,
        /// The endpoint tried last.
        endpoint: Arc<str>,
        /// What rustls says.
        source: io::Error,
    },
    /// The request was sent, and the head of its response did not come in time.
    #[error("upstream {upstream}: no response from {endpoint} within {after:?}")]
    ResponseTimeout {
        /// The upstream.
        upstream: Arc<str>,
        /// The endpoint.
        endpoint: Arc<str>,
        /// The upstream's `response-timeout`, or the `per-try-timeout`.
        after: Duration,
    },
    /// The connection was closed or reset before there was a response.
    #[error("upstream {upstream}: {endpoint} broke off before it answered: {source}")]
    Reset {
        /// The upstream.
        upstream: Arc<str>,
        /// The endpoint.
        endpoint: Arc<str>,
        /// What hyper says.
        source: hyper::Error,
    },
    /// What came is no HTTP response, one with a header section over the limits, or one that was not asked for.
    #[error("upstream {upstream}: {endpoint} sent no proper response: {reason}")]
    BadResponse {
        /// The upstream.
        upstream: Arc<str>,
        /// The endpoint.
        endpoint: Arc<str>,
        /// What is wrong with it.
        reason: String,
    },
    /// The client's own request body broke off or went over a limit: nothing is wrong with the upstream.
    #[error("the request's body: {0}")]
    RequestBody(BodyError),
    /// The component that the upstream is failed.
    #[error("upstream {upstream}: the component failed: {}", .fault.message)]
    Component {
        /// The upstream.
        upstream: Arc<str>,
        /// What happened.
        fault: Fault,
    },
}

impl Error {
    /// Whether another endpoint could do no better.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::CircuitOpen { endpoint: None, .. } | Self::Overloaded { .. } | Self::RequestBody(_))
    }

    /// Whether the endpoint says that it has done nothing with the request (RFC 9113, section 8.7).
    pub(super) fn is_refused_stream(&self) -> bool {
        let Self::Reset { source, .. } = self else { return false };
        let source = std::error::Error::source(source).and_then(|source| source.downcast_ref::<h2::Error>());
        source.is_some_and(|source| source.reason() == Some(h2::Reason::REFUSED_STREAM))
    }

    /// The word in metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoEndpoint { .. } => "no-endpoint",
            Self::CircuitOpen { .. } => "circuit-open",
            Self::Overloaded { .. } => "overloaded",
            Self::Connect { .. } => "connect",
            Self::ConnectTimeout { .. } => "connect-timeout",
            Self::Tls { .. } => "tls",
            Self::ResponseTimeout { .. } => "response-timeout",
            Self::Reset { .. } => "reset",
            Self::BadResponse { .. } => "bad-response",
            Self::RequestBody(_) => "request-body",
            Self::Component { fault, .. } => match fault.kind {
                FaultKind::Trap => "component-trap",
                FaultKind::Deadline => "component-deadline",
                FaultKind::Memory => "component-memory",
                FaultKind::Failed => "component-failed",
                FaultKind::Unavailable => "component-unavailable",
            },
        }
    }

    /// The status that a client should see (RFC 9110, section 15.6); for a client's own body, 413 where it is too
    /// long, 408 where it stood still, and 400 where it broke off.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoEndpoint { .. } | Self::CircuitOpen { .. } | Self::Overloaded { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Connect { .. } | Self::Tls { .. } | Self::Reset { .. } | Self::BadResponse { .. } => {
                StatusCode::BAD_GATEWAY
            }
            Self::ConnectTimeout { .. } | Self::ResponseTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Component { fault, .. } => match fault.kind {
                FaultKind::Deadline => StatusCode::GATEWAY_TIMEOUT,
                FaultKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                FaultKind::Trap | FaultKind::Memory | FaultKind::Failed => StatusCode::BAD_GATEWAY,
            },
            Self::RequestBody(BodyError::TooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestBody(BodyError::Idle(_) | BodyError::Slow(_)) => StatusCode::REQUEST_TIMEOUT,
            Self::RequestBody(BodyError::Ended) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::RequestBody(BodyError::Sender(_) | BodyError::Broken(_)) => StatusCode::BAD_REQUEST,
        }
    }
}

fn subset_text(subset: &[(String, String)]) -> String {
    if subset.is_empty() {
        return String::new();
    }
    let labels: Vec<String> = subset.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!(" with {}", labels.join(", "))
}
