//! One endpoint as one worker sees it: its connections and its counters.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::uri::Authority;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until, timeout};

use super::connect::Target;
use super::endpoint::Endpoint;
use super::outcome::{End, Outcome};
use super::upload::Watch;
use super::{Error, http1, http2};
use crate::config::{self, Protocol};
use crate::http::Body;

/// One endpoint as one worker sees it. The alignment keeps two workers' counters off one cache line (two lines,
/// where the processor fetches in pairs).
#[repr(align(128))]
pub(super) struct Slot {
    /// What all workers know of the endpoint.
    pub(super) endpoint: Arc<Endpoint>,
    /// The upstream's name.
    pub(super) upstream: Arc<str>,
    /// The endpoint's authority in text.
    pub(super) address: Arc<str>,
    /// The endpoint's authority.
    pub(super) authority: Authority,
    /// Requests that were begun, and the requests and bodies that failed.
    pub(super) counts: Counts,
    /// HTTP/1 connections not in use.
    pub(super) parked: Mutex<http1::Parked>,
    /// HTTP/2 connections.
    pub(super) links: http2::Links,
    pub(super) limits: Limits,
    target: Target,
    protocol: Protocol,
    sweeping: Mutex<bool>,
}

/// What happened at an endpoint.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) in_flight: AtomicUsize,
    pub(super) total: AtomicU64,
    pub(super) failures: AtomicU64,
}

/// What the configuration says of connections.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    connect_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) idle_connections: usize,
}

/// A request that got no response. Where nothing of it was sent, it comes back and may go elsewhere.
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) unsent: Option<Box<Request<Body>>>,
}

impl Slot {
    /// A slot without connections.
    pub(super) fn new(upstream: &Arc<str>, endpoint: Arc<Endpoint>, config: &config::Upstream) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            address: Arc::clone(&endpoint.address),
            authority: endpoint.authority.clone(),
            counts: Counts::default(),
            parked: Mutex::default(),
            links: http2::Links::default(),
            limits: Limits {
                connect_timeout: config.connect_timeout,
                idle_timeout: config.idle_timeout,
                idle_connections: config.idle_connections,
            },
            target: Target::new(&endpoint.authority),
            protocol: config.protocol,
            sweeping: Mutex::new(false),
            endpoint,
        }
    }

    /// How a try ended: said once for each try, to all who judge endpoints by it.
    pub(super) fn report(&self, outcome: &Outcome) {
        let failed = !matches!(outcome.end, End::Response(_) | End::Nothing);
        if failed {
            self.counts.failures.fetch_add(1, Relaxed);
        }
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: Box<Request<Body>>,
        watch: &Watch,
    ) -> Result<Response<Body>, Failure> {
        let begun = std::time::Instant::now();
        let flight = Flight::begin(self);
        let sent = match self.protocol {
            Protocol::Http1 => http1::exchange(flight, request, watch).await,
            Protocol::Http2 => Box::pin(http2::exchange(flight, request, watch)).await,
        };
        let end = match &sent {
            Ok(response) => End::Response(response.status()),
            Err(failure) => End::of(&failure.error),
        };
        self.report(&Outcome { end, latency: begun.elapsed() });
        sent
    }

    /// Connects, within the time that the configuration gives.
    pub(super) async fn connect(&self) -> Result<TcpStream, Error> {
        let (upstream, endpoint) = (&self.upstream, &self.address);
        match timeout(self.limits.connect_timeout, self.target.connect()).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(source)) => {
                Err(Error::Connect { upstream: Arc::clone(upstream), endpoint: Arc::clone(endpoint), source })
            }
            Err(_) => Err(Error::ConnectTimeout {
                upstream: Arc::clone(upstream),
                endpoint: Arc::clone(endpoint),
                after: self.limits.connect_timeout,
            }),
        }
    }

    /// The error behind what hyper says of a request that got no response.
    pub(super) fn explain(&self, source: hyper::Error, watch: &Watch) -> Error {
        if let Some(fault) = watch.fault() {
            return Error::RequestBody(fault);
        }
        if source.is_parse() {
            return self.bad_response(http1::parse_error(&source));
        }
        Error::Reset { upstream: Arc::clone(&self.upstream), endpoint: Arc::clone(&self.address), source }
    }

    /// Refuses a response that answers a question nobody asked.
    pub(super) fn check(&self, response: &Response<Incoming>) -> Result<(), Error> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(self.bad_response("a change of protocol that was not asked for".to_owned()));
        }
        Ok(())
    }

    /// The error of a connection that is not there any more.
    pub(super) fn closed(&self) -> Error {
        self.bad_response("the connection was closed before it was used".to_owned())
    }

    fn bad_response(&self, reason: String) -> Error {
        Error::BadResponse { upstream: Arc::clone(&self.upstream), endpoint: Arc::clone(&self.address), reason }
    }

    /// Sees to it that unused connections are closed in time even if nobody asks for one again: one task for each
    /// slot, and only while there are such connections.
    pub(super) fn sweep_later(self: &Arc<Self>) {
        let mut sweeping = self.sweeping.lock();
        if *sweeping {
            return;
        }
        // Without a runtime there are no connections either: they live in tasks of it.
        if let Ok(runtime) = Handle::try_current() {
            *sweeping = true;
            runtime.spawn(sweep(Sweeping(Arc::downgrade(self)), Instant::now() + self.limits.idle_timeout));
        }
    }

    /// Closes what was unused for too long; when to look again, where anything is left.
    fn sweep(&self) -> Option<Instant> {
        let now = Instant::now();
        let parked = self.parked.lock().sweep(now, self.limits.idle_timeout);
        let linked = self.links.sweep(now, self.limits.idle_timeout);
        parked.into_iter().chain(linked).min()
    }
}

/// The sweeper's claim on its slot; given up also when its runtime goes away.
struct Sweeping(Weak<Slot>);

impl Drop for Sweeping {
    fn drop(&mut self) {
        if let Some(slot) = self.0.upgrade() {
            *slot.sweeping.lock() = false;
        }
    }
}

async fn sweep(claim: Sweeping, mut next: Instant) {
    loop {
        sleep_until(next).await;
        let Some(slot) = claim.0.upgrade() else { return };
        match slot.sweep() {
            Some(then) => next = then,
            None => return,
        }
    }
}

/// A request in flight to an endpoint, from the choice of the endpoint to the end of the response's body.
pub(super) struct Flight {
    pub(super) slot: Arc<Slot>,
}

impl Flight {
    fn begin(slot: &Arc<Slot>) -> Self {
        slot.counts.in_flight.fetch_add(1, Relaxed);
        slot.counts.total.fetch_add(1, Relaxed);
        Self { slot: Arc::clone(slot) }
    }

    /// Counts a response that broke off.
    pub(super) fn failed(&self) {
        self.slot.counts.failures.fetch_add(1, Relaxed);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.slot.counts.in_flight.fetch_sub(1, Relaxed);
    }
}
