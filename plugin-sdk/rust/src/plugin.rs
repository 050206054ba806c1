//! The trait that a plugin implements, and what its methods return.

use std::fmt::{self, Display};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::bindings::gofe::plugin::types;
use crate::{Body, ConfigErrors, Overflow, Phases, Reply, Request, Response};

/// A gofe plugin. Every phase has a default that does nothing; with [`macro@crate::plugin`] on the implementation, the
/// proxy calls exactly those phases whose methods are written.
///
/// A value of the plugin is one instance. It serves one call at a time, and any instance may serve any phase of any
/// request: what must be remembered about a request goes to its [`crate::Attributes`], what must be remembered longer to
/// [`crate::key_value`] and [`crate::limiter`].
pub trait Plugin: Sized + 'static {
    /// The plugin's configuration: the YAML under `config`. None at all reads as an empty map.
    type Config: DeserializeOwned;

    /// Makes an instance, or says every mistake in the configuration. The configuration can also be refused before, by
    /// serde.
    fn new(config: Self::Config) -> Result<Self, ConfigErrors>;

    /// How the plugin wants to be called: how it sees bodies, the interval of [`Plugin::tick`], and phases that this
    /// configuration does without.
    fn options(&self) -> Options {
        Options::default()
    }

    /// The request's headers are here; nothing has been sent to the upstream.
    fn request_headers(&self, request: &Request) -> PhaseResult {
        let _ = request;
        Ok(Flow::Continue)
    }

    /// A chunk of the request's body is here, or all of it ([`Options::request_body`]).
    fn request_body(&self, request: &Request, body: &Body) -> PhaseResult {
        let _ = (request, body);
        Ok(Flow::Continue)
    }

    /// The response's headers are here; nothing has been sent to the client.
    fn response_headers(&self, request: &Request, response: &Response) -> PhaseResult {
        let _ = (request, response);
        Ok(Flow::Continue)
    }

    /// A chunk of the response's body is here, or all of it ([`Options::response_body`]).
    fn response_body(&self, request: &Request, response: &Response, body: &Body) -> PhaseResult {
        let _ = (request, response, body);
        Ok(Flow::Continue)
    }

    /// The request is over. Everything can be read, nothing changed.
    fn complete(&self, request: &Request, response: &Response) {
        let _ = (request, response);
    }

    /// The timer ([`Options::tick`]). It runs in one worker only, with no request in hand.
    fn tick(&self) {}

    /// The phases that are implemented. The macro writes it.
    #[doc(hidden)]
    const PHASES: Phases = Phases::all();
}

/// What a phase returns. An error means that the plugin could not do its work: the operator's `on-error` decides what
/// becomes of the request.
pub type PhaseResult = Result<Flow, Error>;

/// How a request goes on after a phase.
#[derive(Debug, Clone, PartialEq)]
pub enum Flow {
    /// To the next plugin, or on to the upstream or the client.
    Continue,
    /// It ends here, with this answer to the client.
    Reply(Reply),
}

impl From<Reply> for Flow {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// Why a plugin could not do its work. It goes to the log, never to the client.
///
/// Any error becomes one by `?`, and any text by [`Error::new`].
#[derive(Debug, Clone, PartialEq)]
pub struct Error(String);

impl Error {
    /// An error with this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

// `Error` itself is no `std::error::Error`, which leaves room for this conversion from all that are.
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// How a plugin sees a body.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum BodyPolicy {
    /// Not at all: the body phase is not called.
    None,
    /// Chunk by chunk, as it comes. This is what a plugin with a body phase gets when it asks for nothing else.
    #[default]
    Stream,
    /// Whole, in one call. Until that returns, the headers are held back too.
    Buffer {
        /// The most bytes that are held back. The proxy's configuration may lower it.
        limit: u64,
        /// What happens past the limit.
        overflow: Overflow,
    },
}

impl From<BodyPolicy> for types::BodyPolicy {
    fn from(policy: BodyPolicy) -> Self {
        match policy {
            BodyPolicy::None => Self::None,
            BodyPolicy::Stream => Self::Stream,
            BodyPolicy::Buffer { limit, overflow } => Self::Buffer(types::Buffer { limit, overflow }),
        }
    }
}

/// How a configured plugin wants to be called.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    pub(crate) request_body: BodyPolicy,
    pub(crate) response_body: BodyPolicy,
    pub(crate) tick: Duration,
    pub(crate) without: Phases,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            request_body: BodyPolicy::Stream,
            response_body: BodyPolicy::Stream,
            tick: Duration::ZERO,
            without: Phases::empty(),
        }
    }
}

impl Options {
    /// Bodies as streams, no timer, every implemented phase.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How [`Plugin::request_body`] sees the body.
    #[must_use]
    pub fn request_body(self, policy: BodyPolicy) -> Self {
        Self { request_body: policy, ..self }
    }

    /// How [`Plugin::response_body`] sees the body.
    #[must_use]
    pub fn response_body(self, policy: BodyPolicy) -> Self {
        Self { response_body: policy, ..self }
    }

    /// The time between two calls of [`Plugin::tick`], at least one millisecond. Without it, there are none.
    #[must_use]
    pub fn tick(self, interval: Duration) -> Self {
        Self { tick: interval, ..self }
    }

    /// Phases that this configuration has no use for, though the plugin implements them. They then cost nothing.
    #[must_use]
    pub fn without(self, phases: Phases) -> Self {
        Self { without: self.without.union(phases), ..self }
    }
}
