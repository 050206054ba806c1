//! The request in hand: what the phases of a chain read and change.

use std::any::Any;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, request, response};
use tokio::sync::OwnedSemaphorePermit;

use super::{Attributes, Phase, Retrying, Routing};
use crate::config::TrustedProxies;
use crate::http::edge::Edge;
use crate::http::hop::Peer;
use crate::http::origin;
use crate::http::{Body, BodyError};

/// The request in hand. It is one pointer, so that lending it to a plugin's store moves eight bytes.
pub struct Exchange(Option<Box<State>>);

impl Exchange {
    /// A new exchange.
    pub fn new(state: State) -> Self {
        Self(Some(Box::new(state)))
    }

    /// An exchange whose state is elsewhere.
    pub(super) fn lent() -> Self {
        Self(None)
    }

    /// Lends the state; [`Self::restore`] must bring it back before anybody else looks.
    pub fn lend(&mut self) -> Box<State> {
        self.0.take().expect("the exchange is lent to one call at a time")
    }

    /// Takes the state back.
    pub fn restore(&mut self, state: Box<State>) {
        self.0 = Some(state);
    }
}

impl Deref for Exchange {
    type Target = State;

    fn deref(&self) -> &State {
        self.0.as_deref().expect("the exchange is lent to one call at a time")
    }
}

impl DerefMut for Exchange {
    fn deref_mut(&mut self) -> &mut State {
        self.0.as_deref_mut().expect("the exchange is lent to one call at a time")
    }
}

/// What gofe knows of one request.
pub struct State {
    /// The request, without its body.
    pub request: request::Parts,
    /// The request's URI as the client wrote it, where a plugin changed it.
    pub original_uri: Option<Uri>,
    /// The response, without its body, once there is one.
    pub response: Option<response::Parts>,
    /// Fields that the response shall have when it begins.
    pub prepared: Prepared,
    /// The message's body, in the header phases of a chain with a step that takes bodies.
    pub message: Body,
    /// The body that such a step read broke off: that is why it answers.
    pub broken: Option<BodyError>,
    /// The chunk of the body in hand, or all of it.
    pub body: Bytes,
    /// Whether nothing of the body follows what is in hand; in a headers phase, whether the message has no body.
    pub body_end: bool,
    /// The trailers behind the body in hand, with its last chunk.
    pub trailers: Option<HeaderMap>,
    /// How long the request has, until the end of the response's headers: what the route gives it, or a plugin chose.
    pub timeout: Duration,
    /// Whether the request can still be changed.
    pub request_open: bool,
    /// Whether the response can still be changed.
    pub response_open: bool,
    /// The phase that runs, or ran last.
    pub phase: Phase,
    /// The client's connection.
    pub client: Arc<Client>,
    /// The route's name.
    pub route: Arc<str>,
    /// What the configuration of this request has; keeps that configuration alive.
    pub directory: Arc<dyn Directory>,
    /// Attributes.
    pub attributes: Attributes,
    /// Where the request shall go, where a plugin chose.
    pub routing: Routing,
    /// The answer that a plugin gave.
    pub reply: Option<Reply>,
    /// Why a plugin said that it cannot do its work.
    pub failure: Option<String>,
    /// A cookie that the response gives the client, where gofe chose something for it that shall last.
    pub cookie: Option<Box<HeaderValue>>,
    /// The place that the request takes among those in flight, where its route has a limit.
    pub permit: Option<OwnedSemaphorePermit>,
    /// Times and sizes.
    pub summary: Summary,
    /// How many steps of the chain the request has reached.
    pub reached: usize,
    /// The steps that failed open, one bit each: they are out of this request.
    pub disabled: u64,
    /// When the step before this one ended, or the phase began.
    pub lap: Instant,
    /// Instances that are held until the end of the request, by the plugin's identity.
    pub leases: Vec<(usize, Box<dyn Any + Send>)>,
}

impl State {
    /// A request that was just read.
    pub fn new(
        request: request::Parts,
        client: Arc<Client>,
        route: Arc<str>,
        directory: Arc<dyn Directory>,
        started: Instant,
    ) -> Self {
        Self {
            request,
            original_uri: None,
            response: None,
            prepared: Prepared::default(),
            message: Body::Empty,
            broken: None,
            body: Bytes::new(),
            body_end: false,
            trailers: None,
            timeout: Duration::MAX,
            request_open: true,
            response_open: false,
            phase: Phase::RequestHeaders,
            client,
            route,
            directory,
            attributes: Attributes::default(),
            routing: Routing::default(),
            reply: None,
            failure: None,
            cookie: None,
            permit: None,
            summary: Summary::new(started),
            reached: 0,
            disabled: 0,
            lap: started,
            leases: Vec::new(),
        }
    }

    /// The host and port that the client asked for, as it wrote them; `server` sees to it that there is one.
    pub fn host(&self) -> &str {
        self.request.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
    }

    /// The time since the last lap; the next begins now. A clock is read once for each step, and not twice.
    pub fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut self.lap, now))
    }

    /// Changes the request's URI.
    pub fn set_target(&mut self, uri: Uri) {
        let old = std::mem::replace(&mut self.request.uri, uri);
        self.original_uri.get_or_insert(old);
    }

    /// Whether a plugin may still say which fields the response shall have.
    pub fn may_prepare(&self) -> bool {
        self.response.is_none() && matches!(self.phase, Phase::RequestHeaders | Phase::RequestBody)
    }

    /// Puts an answer in the place of the response; its body is given back.
    pub fn set_response(&mut self, reply: Reply) -> Body {
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = reply.status;
        parts.headers = reply.headers;
        self.begin_response(parts);
        reply.body
    }

    /// The response begins, or another takes its place: it gets the fields that plugins have prepared.
    pub fn begin_response(&mut self, mut parts: response::Parts) {
        let old = self.response.take();
        self.prepared.give(&mut parts.headers, old.map(|old| old.headers));
        self.response = Some(parts);
    }
}

/// Fields that a response shall have when it begins.
#[derive(Debug, Default)]
pub struct Prepared(Vec<(HeaderName, Option<HeaderValue>)>);

impl Prepared {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Adds a field, and gives the one back whose place it takes.
    pub fn put(&mut self, name: HeaderName, value: HeaderValue) -> Option<(HeaderName, HeaderValue)> {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => known.replace(value).map(|old| (name, old)),
            None => {
                self.0.push((name, Some(value)));
                None
            }
        }
    }

    /// Puts the fields on a response. The first one gets them as they are; one that takes its place, as the response
    /// before it had them.
    fn give(&mut self, headers: &mut HeaderMap, before: Option<HeaderMap>) {
        let mut before = before.unwrap_or_default();
        for (name, value) in &mut self.0 {
            if let Some(value) = value.take().or_else(|| before.remove(&*name)) {
                headers.insert(name.clone(), value);
            }
        }
    }
}

/// The client's connection.
#[derive(Debug)]
pub struct Client {
    /// The peer's address.
    pub address: SocketAddr,
    /// The worker that serves the connection.
    pub worker: usize,
    /// The address in text, which most requests ask for.
    pub ip: Box<str>,
    /// What upstreams are told of the connection.
    pub peer: Peer,
    /// The TLS facts, on a TLS connection.
    pub tls: Option<Box<TlsInfo>>,
    /// What its listener does to every request, where it does something.
    pub edge: Option<Arc<Edge>>,
    /// Its listener's number, by which a snapshot finds the routes that serve there.
    pub listener: usize,
    /// Whom its listener believes about the client's address, where it believes anybody.
    pub trusted: Option<Arc<TrustedProxies>>,
    /// Whether the client speaks HTTPS, to gofe or to a proxy in front of it that is trusted.
    pub secure: bool,
}

impl Client {
    /// A client that a worker has accepted.
    pub fn new(worker: usize, address: SocketAddr, tls: Option<Box<TlsInfo>>) -> Self {
        let ip = address.ip().to_canonical();
        let secure = tls.is_some();
        let peer = Peer::new(ip, secure);
        let ip = ip.to_string().into();
        Self { worker, address, ip, peer, tls, edge: None, listener: 0, trusted: None, secure }
    }

    /// Whether what the client has sent may be a replay of what another has recorded: its handshake is not complete.
    pub fn is_early(&self) -> bool {
        let complete = self.tls.as_ref().and_then(|tls| tls.complete.as_ref());
        complete.is_some_and(|complete| !complete.load(Ordering::Acquire))
    }

    /// Whom a request comes from, where trusted proxies in front of gofe say so: nothing where that is this client.
    pub fn behind(&self, headers: &HeaderMap) -> Option<Self> {
        let origin = origin::find(self.trusted.as_deref()?, self.address.ip(), headers)?;
        let secure = origin.secure.unwrap_or(self.secure);
        Some(Self {
            // A proxy does not say from which port its client came.
            address: SocketAddr::new(origin.client, 0),
            worker: self.worker,
            ip: origin.client.to_string().into(),
            peer: Peer::through(origin.client, &origin.proxies, secure),
            tls: self.tls.clone(),
            edge: self.edge.clone(),
            listener: self.listener,
            trusted: None,
            secure,
        })
    }
}

/// What TLS says of a connection.
#[derive(Debug, Clone, Default)]
pub struct TlsInfo {
    /// The protocol version, for example `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by its IANA name.
    pub cipher: &'static str,
    /// The server name that the client asked for.
    pub server_name: Option<Box<str>>,
    /// The subject of the verified client certificate.
    pub client_subject: Option<String>,
    /// SHA-256 of the client certificate, in hexadecimal.
    pub client_fingerprint: Option<String>,
    /// The header that carries the subject to chain and upstream, where the listener asks for one.
    pub identity: Option<(HeaderName, HeaderValue)>,
    /// Whether the handshake is complete by now, where the client may have sent requests before it was (0-RTT).
    pub complete: Option<Arc<AtomicBool>>,
}

/// What a plugin may ask about the configuration that its request runs under.
pub trait Directory: Send + Sync {
    /// Whether there is an upstream of this name.
    fn has_upstream(&self, name: &str) -> bool;
    /// Whether the upstream (the route's own where none is named) has endpoints with these labels.
    fn has_subset(&self, upstream: Option<&str>, route: &str, labels: &[(String, String)]) -> bool;
    /// The upstream of a route; nothing where it has none, or several.
    fn route_upstream(&self, route: &str) -> Option<Arc<str>>;
    /// What is done with a failed try at the upstream (the route's own where none is named).
    fn retry(&self, upstream: Option<&str>, route: &str) -> Option<Retrying>;
}

/// No configuration, for requests that have none: in tests and when plugins are fuzzed.
impl Directory for () {
    fn has_upstream(&self, _: &str) -> bool {
        false
    }

    fn has_subset(&self, _: Option<&str>, _: &str, _: &[(String, String)]) -> bool {
        false
    }

    fn route_upstream(&self, _: &str) -> Option<Arc<str>> {
        None
    }

    fn retry(&self, _: Option<&str>, _: &str) -> Option<Retrying> {
        None
    }
}

/// An answer by a plugin or by the proxy itself.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// Times and sizes of one request.
#[derive(Debug)]
pub struct Summary {
    /// When the request was there.
    pub started: Instant,
    /// When the request was over.
    pub duration: Option<Duration>,
    /// How long the upstream took to answer with headers.
    pub upstream_duration: Option<Duration>,
    /// The upstream and its endpoint.
    pub upstream: Option<(Arc<str>, Arc<str>)>,
    /// Bytes of the request's body, counted while it flows; absent where it has none.
    pub request_bytes: Option<Arc<AtomicU64>>,
    /// Bytes of the response's body.
    pub response_bytes: u64,
    /// Why the proxy itself ended the request.
    pub error: Option<&'static str>,
}

impl Summary {
    fn new(started: Instant) -> Self {
        Self {
            started,
            duration: None,
            upstream_duration: None,
            upstream: None,
            request_bytes: None,
            response_bytes: 0,
            error: None,
        }
    }
}
