//! The seam between the request path and the plugins of every ABI.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::Exchange;
use crate::config::OnError;

/// The phases of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The request's headers are here.
    RequestHeaders,
    /// A chunk of the request's body, or all of it.
    RequestBody,
    /// The response's headers are here.
    ResponseHeaders,
    /// A chunk of the response's body, or all of it.
    ResponseBody,
    /// The request is over.
    Complete,
}

impl Phase {
    /// All phases in the order in which a request goes through them.
    pub const ALL: [Self; 5] =
        [Self::RequestHeaders, Self::RequestBody, Self::ResponseHeaders, Self::ResponseBody, Self::Complete];

    /// The name in logs, metrics and the admin API.
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestHeaders => "request-headers",
            Self::RequestBody => "request-body",
            Self::ResponseHeaders => "response-headers",
            Self::ResponseBody => "response-body",
            Self::Complete => "complete",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases(u8);

impl Phases {
    /// The set with one phase more.
    #[must_use]
    pub fn with(self, phase: Phase) -> Self {
        Self(self.0 | 1 << phase as u8)
    }

    /// Whether the phase is in the set.
    pub fn has(self, phase: Phase) -> bool {
        self.0 & (1 << phase as u8) != 0
    }

    /// The names of the phases in the set.
    pub fn names(self) -> Vec<&'static str> {
        Phase::ALL.into_iter().filter(|p| self.has(*p)).map(Phase::name).collect()
    }
}

/// What a filter wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interest {
    /// The phases to call. One that is not here costs nothing.
    pub phases: Phases,
    /// How it wants request bodies.
    pub request_body: BodyPolicy,
    /// How it wants response bodies.
    pub response_body: BodyPolicy,
    /// The time between two ticks.
    pub tick: Option<Duration>,
}

/// How a filter wants bodies of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyPolicy {
    /// Not at all.
    #[default]
    None,
    /// Chunk by chunk, as they come.
    Stream,
    /// Chunk by chunk, in a message whose framing is the filter's business: trailers are in hand with the last chunk and
    /// can be changed, a message without a body is not shown, and `Content-Length` stays unless the filter removed it.
    Framed,
    /// Whole, before the headers go on.
    Buffer {
        /// The most bytes held back.
        limit: u64,
        /// What happens past that.
        overflow: Overflow,
    },
}

/// What happens to a body that is longer than a filter's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// 413 for a request, 502 in the place of a response.
    Reject,
    /// The filter does not see the body, which goes on as a stream.
    Pass,
}

/// What a filter's call came to.
#[derive(Debug)]
pub enum Outcome {
    /// Go on.
    Continue,
    /// Answer with the [`super::Reply`] that the exchange holds.
    Respond,
    /// The filter failed; the runner applies its policy.
    Fault(Fault),
}

/// A failed call: what happened, for the log. Clients never see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of failure it was.
    pub kind: FaultKind,
    /// What happened, in a sentence.
    pub message: String,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The code trapped.
    Trap,
    /// The call ran over its time.
    Deadline,
    /// The instance ran over its memory.
    Memory,
    /// The plugin said that it cannot do its work.
    Failed,
    /// There is no instance: the plugin could not be loaded, or all instances are in use.
    Unavailable,
}

impl FaultKind {
    /// The word in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A plugin in a chain, of whatever ABI.
pub trait Filter: Send + Sync + 'static {
    /// The plugin's name in the configuration.
    fn name(&self) -> &str;

    /// What it wants to see.
    fn interest(&self) -> Interest;

    /// What the operator wants when it fails.
    fn on_error(&self) -> OnError;

    /// Calls the filter in a phase that it asked for. The exchange is lent for the call; it is whole again when the
    /// future ends, and also when the future is dropped.
    fn call(&self, phase: Phase, exchange: &mut Exchange) -> impl Future<Output = Outcome> + Send;
}
