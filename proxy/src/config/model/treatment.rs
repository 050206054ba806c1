//! What a route does to its requests and responses on their way.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{Pattern, ValueMatch};

/// What a route does to its requests and responses. Most routes do nothing of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Treatment {
    /// What the upstream gets in the place of the client's path and host.
    pub rewrite: Rewrite,
    /// Edits of the request's header, as the upstream gets it.
    pub request_headers: Edits,
    /// Edits of the response's header, as the client gets it.
    pub response_headers: Edits,
    /// Requests in flight at a time; any number where there is none.
    pub active_requests: Option<usize>,
    /// Delays and errors that are made on purpose.
    pub fault: Option<Fault>,
    /// Who gets a copy of requests.
    pub mirror: Option<Mirror>,
    /// What answers when the upstream fails.
    pub fallback: Option<RouteFallback>,
}

impl Treatment {
    /// Whether anything is done at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A text with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub Vec<Part>);

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// This text.
    Literal(String),
    /// What the request says.
    Variable(Variable),
}

/// What a text can ask of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// The client's IP address.
    ClientIp,
    /// The client's port.
    ClientPort,
    /// The method.
    Method,
    /// `http` or `https`, as the client came.
    Scheme,
    /// The host that the client asked for, without a port.
    Host,
    /// The path as the client wrote it.
    Path,
    /// The query as the client wrote it, without the question mark.
    Query,
    /// A header field's first value.
    Header(HeaderName),
    /// A cookie's first value.
    Cookie(String),
    /// A parameter's first value, decoded.
    Parameter(String),
    /// A segment of the path, counted from 0.
    Segment(usize),
    /// The path from a segment on.
    Rest(usize),
    /// A named group of the path's expression.
    Group(String),
    /// The server name that the client asked for (SNI).
    ServerName,
    /// The version of TLS.
    TlsVersion,
    /// The subject of the client's certificate.
    ClientSubject,
    /// The route's name.
    RouteName,
}

/// A header field's value in an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// Always this.
    Fixed(HeaderValue),
    /// One with variables.
    Text(Text),
}

/// Edits of a header section: first what is removed, then what is set, then what is added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// Fields that go.
    pub remove: Vec<HeaderName>,
    /// Fields that are there once, with this value.
    pub set: Vec<(HeaderName, FieldValue)>,
    /// Fields that are added to those of the same name.
    pub add: Vec<(HeaderName, FieldValue)>,
}

impl Edits {
    /// Whether nothing is edited.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Whether a value depends on the request.
    pub fn has_variables(&self) -> bool {
        self.set.iter().chain(&self.add).any(|(_, value)| matches!(value, FieldValue::Text(_)))
    }
}

/// What the upstream gets in the place of path and host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// The path.
    pub path: Option<PathRewrite>,
    /// The host.
    pub host: Option<Text>,
}

/// Another path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRewrite {
    /// This one; the query stays, unless the text has one.
    Text(Text),
    /// This in the place of the prefix that the route matches.
    Prefix(String),
    /// What the expression finds is replaced.
    Regex(Pattern, String),
}

/// An answer that sends clients elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRedirect {
    /// The status. Default 307.
    pub status: StatusCode,
    /// The scheme; the client's where there is none.
    pub scheme: Option<&'static str>,
    /// The host; the client's where there is none.
    pub host: Option<Text>,
    /// The port; where there is none, the client's if host and scheme are, else the scheme's own.
    pub port: Option<u16>,
    /// The path; the client's where there is none.
    pub path: Option<PathRewrite>,
}

/// A fixed answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Fixed {
    /// The status.
    pub status: StatusCode,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

/// Several upstreams, each for a share of the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The upstreams; not all weights are 0.
    pub choices: Vec<Choice>,
    /// What makes equal requests go to the same one.
    pub sticky: Option<Sticky>,
}

/// One of several upstreams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub upstream: String,
    /// Its share, beside the sum of all weights. Default 1.
    pub weight: u32,
    /// Labels that the endpoint must have.
    pub subset: Vec<(String, String)>,
}

/// What makes equal requests go to the same of several upstreams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticky {
    /// This cookie; a client without it gets one.
    Cookie(String),
    /// This header field.
    Header(HeaderName),
    /// The client's IP address.
    ClientAddress,
}

/// A share of requests, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(pub u32);

impl Share {
    /// All requests.
    pub const ALL: Self = Self(1_000_000);
}

/// Delays and errors that are made on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// How long requests wait, and how many do.
    pub delay: Option<(Duration, Share)>,
    /// The status that is answered, and how often.
    pub abort: Option<(StatusCode, Share)>,
    /// What header fields must be for it; all requests where there are none.
    pub headers: Vec<(HeaderName, ValueMatch)>,
}

/// Who gets a copy of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The upstream's name.
    pub upstream: String,
    /// Labels that the endpoint must have.
    pub subset: Vec<(String, String)>,
    /// How many requests are copied. Default all.
    pub share: Share,
    /// The longest body that is copied, in bytes; requests with longer ones are not. Default 64 KiB.
    pub body_size: usize,
    /// Copies in flight at a time; past it requests are not copied. Default 100.
    pub active_requests: usize,
}

/// What answers when the upstream fails.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteFallback {
    /// Statuses of the upstream that count as failures, besides no answer at all.
    pub statuses: Vec<StatusCode>,
    /// What answers.
    pub answer: FallbackAnswer,
}

/// What answers in an upstream's place.
#[derive(Debug, Clone, PartialEq)]
pub enum FallbackAnswer {
    /// This answer.
    Fixed(Fixed),
    /// Another upstream, for requests whose body has at most 64 KiB.
    Upstream(String),
    /// The plugins of a chain; where none answers, the failure stays.
    Chain(String),
}
