//! How a try at an endpoint ended, for everybody who judges endpoints by it.

use std::time::Duration;

use http::StatusCode;

use super::Error;

/// How a try at an endpoint ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) end: End,
    /// From the choice of the endpoint to the head of its response, or to the failure.
    #[allow(dead_code, reason = "outlier detection is built beside this")]
    pub(super) latency: Duration,
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A response with this status.
    Response(StatusCode),
    /// No connection, for whatever reason.
    NoConnection,
    /// Nothing within the time for the try.
    #[allow(dead_code, reason = "timeouts of a try are built beside this")]
    Timeout,
    /// The connection broke, or what came was no response.
    Broken,
    /// Nothing that tells of the endpoint: the client's body failed, or the try was given up.
    Nothing,
}

impl End {
    /// What an error says of the endpoint.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Connect { .. } | Error::ConnectTimeout { .. } => Self::NoConnection,
            Error::Reset { .. } | Error::BadResponse { .. } => Self::Broken,
            Error::NoEndpoint { .. } | Error::RequestBody(_) => Self::Nothing,
        }
    }
}
