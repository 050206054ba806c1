//! How a try at an endpoint ended, for everybody who judges endpoints by it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::sync::Notify;

use super::Error;
use super::balance::Ewma;
use super::endpoint::Endpoint;
use super::outlier::Tally;

/// How a try at an endpoint ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) end: End,
    /// The same for outlier detection, where that is known already: calls of gRPC say it at their end.
    pub(super) judged: Option<End>,
    /// From the choice of the endpoint to the head of its response, or to the failure.
    pub(super) latency: Duration,
    /// When it ended.
    pub(super) at: Instant,
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
            Error::Connect { .. } | Error::ConnectTimeout { .. } | Error::Tls { .. } => Self::NoConnection,
            Error::ResponseTimeout { .. } => Self::Timeout,
            Error::Reset { .. } | Error::BadResponse { .. } | Error::Component { .. } => Self::Broken,
            Error::NoEndpoint { .. } | Error::CircuitOpen { .. } | Error::Overloaded { .. } | Error::RequestBody(_) => {
                Self::Nothing
            }
        }
    }

    /// Whether the endpoint failed; nothing where it says nothing of it.
    pub(super) fn failed(self) -> Option<bool> {
        match self {
            Self::Response(status) => Some(status.is_server_error()),
            Self::NoConnection | Self::Timeout | Self::Broken => Some(true),
            Self::Nothing => None,
        }
    }
}

/// Who hears how tries at an endpoint end. Where nobody asks for anything, that is three looks at nothing.
pub(super) struct Judges {
    /// The latency, where endpoints are chosen by it.
    pub(super) latency: Option<Ewma>,
    /// What outlier detection counts, where there is any.
    pub(super) tally: Option<Tally>,
    /// Discovery, where it should look again when no connection can be made.
    pub(super) refresh: Option<Arc<Notify>>,
}

impl Judges {
    /// Tells outlier detection alone.
    pub(super) fn judge(&self, outcome: &Outcome, endpoint: &Endpoint) {
        if let (Some(tally), Some(end)) = (&self.tally, outcome.judged) {
            tally.hear(&Outcome { end, ..*outcome }, &endpoint.streak);
        }
    }

    pub(super) fn hear(&self, outcome: &Outcome, endpoint: &Endpoint) {
        if let Some(latency) = &self.latency
            && outcome.end != End::Nothing
        {
            latency.observe(outcome.latency, outcome.at);
        }
        self.judge(outcome, endpoint);
        if let Some(refresh) = &self.refresh
            && outcome.end == End::NoConnection
        {
            refresh.notify_one();
        }
    }
}
