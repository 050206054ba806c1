//! One endpoint as one worker sees it: its connections and its counters.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::uri::Authority;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::call_end::{self, Judged};
use super::common::{Common, Events};
use super::connect::{Connector, Trouble};
use super::connections::{Place, Turn};
use super::endpoint::Endpoint;
use super::idle::Idle;
use super::message::Again;
use super::outcome::{End, Judges, Outcome};
use super::proxy_header::Ends;
use super::trial::Trial;
use super::upload::Watch;
use super::wire::Wire;
use super::{Error, auto, http1, http2, service};
use crate::config::{self, Alpn, Protocol};
use crate::http::Body;
use crate::net::Offer;

/// One endpoint as one worker sees it. The alignment keeps two workers' counters off one cache line (two lines,
/// where the processor fetches in pairs).
#[repr(align(128))]
pub(super) struct Slot {
    /// What all workers know of the endpoint.
    pub(super) endpoint: Arc<Endpoint>,
    /// What all endpoints of the upstream share, in all workers.
    pub(super) common: Arc<Common>,
    /// The upstream's name.
    pub(super) upstream: Arc<str>,
    /// The endpoint's authority in text.
    pub(super) address: Arc<str>,
    /// The endpoint's authority.
    pub(super) authority: Authority,
    /// Who hears how tries end.
    pub(super) judges: Judges,
    /// Requests that were begun, and the requests and bodies that failed.
    pub(super) counts: Counts,
    /// HTTP/1 connections not in use.
    pub(super) parked: Mutex<http1::Parked>,
    /// HTTP/2 connections.
    pub(super) links: http2::Links,
    pub(super) limits: Limits,
    /// Whether the endpoint chose HTTP/1.1 when it last could choose.
    pub(super) speaks_http1: AtomicBool,
    /// Requests of this worker that wait for a connection to this endpoint, and what tells them of one that is not in
    /// use any more.
    pub(super) waiting: AtomicUsize,
    pub(super) parked_one: Notify,
    connector: Connector,
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
    pub(super) connect_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) idle_connections: usize,
    connection_age: Option<Duration>,
    connection_requests: usize,
    pub(super) response_timeout: Option<Duration>,
    response_idle_timeout: Option<Duration>,
}

/// What a try must know beside the request.
pub(super) struct Terms<'a> {
    /// The request's body.
    pub(super) watch: Watch,
    /// The client's connection, where the endpoint shall learn of it.
    pub(super) ends: Option<Ends>,
    /// When the request as a whole is given up.
    pub(super) deadline: std::time::Instant,
    /// Makes the request again, where nobody need keep a copy of it.
    pub(super) again: Option<Again<'a>>,
    /// Where events are counted.
    pub(super) events: Events<'a>,
}

impl Terms<'_> {
    /// The client whose connections alone may be used, where each client has its own.
    pub(super) fn client(&self, slot: &Slot) -> Option<Ends> {
        self.ends.filter(|_| slot.connector.is_for_one_client())
    }
}

/// How long a connection lives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    /// The client whose requests it serves; absent where it serves all.
    pub(super) client: Option<Ends>,
    /// Until when it serves requests.
    pub(super) expires: Option<Instant>,
    /// How many requests it still serves.
    pub(super) left: usize,
}

impl Life {
    /// Whether it serves another request.
    pub(super) fn goes_on(&self, now: impl FnOnce() -> Instant) -> bool {
        self.left > 0 && self.expires.is_none_or(|expires| now() < expires)
    }
}

/// A request that got no response. Where nothing of it was sent, it comes back and may go elsewhere.
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) unsent: Option<Box<Request<Body>>>,
}

impl Slot {
    /// A slot without connections.
    pub(super) fn new(
        upstream: &Arc<str>,
        endpoint: Arc<Endpoint>,
        config: &config::Upstream,
        common: &Arc<Common>,
        judges: Judges,
    ) -> Self {
        let sending = &config.sending;
        Self {
            // Copies, as each request counts on them, and this slot is one worker's.
            upstream: (&**upstream).into(),
            address: (&*endpoint.address).into(),
            authority: endpoint.authority.clone(),
            judges,
            counts: Counts::default(),
            parked: Mutex::default(),
            links: http2::Links::default(),
            limits: Limits {
                connect_timeout: config.connect_timeout,
                idle_timeout: config.idle_timeout,
                idle_connections: config.idle_connections,
                connection_age: sending.connection_age,
                connection_requests: sending.connection_requests.unwrap_or(usize::MAX),
                response_timeout: sending.response_timeout,
                response_idle_timeout: sending.response_idle_timeout,
            },
            speaks_http1: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            parked_one: Notify::new(),
            connector: Connector::new(&endpoint, sending, common.tls.clone()),
            protocol: config.protocol,
            sweeping: Mutex::new(false),
            endpoint,
            common: Arc::clone(common),
        }
    }

    /// How a try ended: said once for each try, to all who judge endpoints by it.
    pub(super) fn report(&self, outcome: &Outcome) {
        let failed = !matches!(outcome.end, End::Response(_) | End::Nothing);
        if failed {
            self.counts.failures.fetch_add(1, Relaxed);
        }
        self.judges.hear(outcome, &self.endpoint);
    }

    /// Sends a request, which begins now, and waits for the head of its response; whoever waits gives up after `limit`,
    /// where there is one.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: Box<Request<Body>>,
        terms: &Terms<'_>,
        limit: Option<Duration>,
        now: std::time::Instant,
    ) -> Result<Response<Body>, Failure> {
        let mut trial = match Trial::begin(self, terms, limit, now) {
            Ok(trial) => trial,
            Err(error) => return Err(Failure { error, unsent: Some(request) }),
        };
        let flight = Flight::begin(self, now);
        let sent = match self.protocol {
            _ if self.common.service.is_some() => Box::pin(service::exchange(flight, request, terms)).await,
            Protocol::Http1 => http1::exchange(flight, request, terms, None).await,
            Protocol::Http2 => Box::pin(http2::exchange(flight, request, terms)).await,
            Protocol::Auto => Box::pin(auto::exchange(flight, request, terms)).await,
        };
        let end = match &sent {
            Ok(response) => End::Response(response.status()),
            Err(failure) => End::of(&failure.error),
        };
        let judged = match &sent {
            Ok(response) if self.judges.tally.is_some() => call_end::of_head(response),
            _ => Some(end),
        };
        let latency = trial.end(end, judged);
        match judged {
            Some(_) => sent,
            None => sent.map(|response| response.map(|body| Judged::over(body, self, latency))),
        }
    }

    /// Connects, within the time that the configuration gives; with TLS, the handshake is a part of it.
    pub(super) async fn connect(&self, terms: &Terms<'_>, offer: Offer) -> Result<(Wire, Option<Alpn>), Error> {
        let place = match &self.common.connections {
            None => None,
            Some(connections) => {
                match Box::pin(connections.turn(self, terms, self.limits.connect_timeout, false)).await {
                    Some(Turn::Place(place)) => Some(place),
                    _ => return Err(self.over_connections(terms)),
                }
            }
        };
        self.connect_at(place, terms, offer).await
    }

    /// The error of a request that gets no connection under the limit.
    pub(super) fn over_connections(&self, terms: &Terms<'_>) -> Error {
        terms.events.count("over-connections");
        self.common.overloaded("connections")
    }

    /// Connects, where the limit on connections has a place.
    pub(super) async fn connect_at(
        &self,
        place: Option<Place>,
        terms: &Terms<'_>,
        offer: Offer,
    ) -> Result<(Wire, Option<Alpn>), Error> {
        let (upstream, endpoint) = (&self.upstream, &self.address);
        match timeout(self.limits.connect_timeout, self.connector.connect(terms.ends, offer)).await {
            Ok(Ok((wire, alpn))) => Ok((wire.holding(place), alpn)),
            Ok(Err(Trouble::Connect(source))) => {
                Err(Error::Connect { upstream: Arc::clone(upstream), endpoint: Arc::clone(endpoint), source })
            }
            Ok(Err(Trouble::Tls(source))) => {
                Err(Error::Tls { upstream: Arc::clone(upstream), endpoint: Arc::clone(endpoint), source })
            }
            Err(_) => Err(Error::ConnectTimeout {
                upstream: Arc::clone(upstream),
                endpoint: Arc::clone(endpoint),
                after: self.limits.connect_timeout,
            }),
        }
    }

    /// The life of a connection that begins now. Ages differ by a tenth, so that connections that began together do not
    /// end together.
    pub(super) fn life(&self, terms: &Terms<'_>) -> Life {
        let age = |age: Duration| Instant::now() + age - age.mul_f64(random() / 10.0);
        Life {
            client: terms.client(self),
            expires: self.limits.connection_age.map(age),
            left: self.limits.connection_requests,
        }
    }

    /// Whether connections are secured.
    pub(super) fn has_tls(&self) -> bool {
        self.connector.has_tls()
    }

    /// The error of an endpoint that did not answer in time.
    pub(super) fn late(&self, after: Duration) -> Error {
        Error::ResponseTimeout { upstream: Arc::clone(&self.upstream), endpoint: Arc::clone(&self.address), after }
    }

    /// Puts the limit of time on a response's body.
    pub(super) fn timed(&self, body: Body) -> Body {
        Idle::over(body, self.limits.response_idle_timeout)
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
        if let Some(connections) = &self.common.connections {
            connections.watch(self);
        }
        let mut sweeping = self.sweeping.lock();
        if *sweeping {
            return;
        }
        // Without a runtime there are no connections either: they live in tasks of it.
        if let Ok(runtime) = Handle::try_current() {
            *sweeping = true;
            let first = Instant::now() + self.limits.idle_timeout.min(http1::SURPLUS);
            runtime.spawn(sweep(Sweeping(Arc::downgrade(self)), first));
        }
    }

    /// Closes what was unused for too long; when to look again, where anything is left.
    fn sweep(&self) -> Option<Instant> {
        let now = Instant::now();
        let parked = self.parked.lock().sweep(now, &self.limits);
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
    pub(super) begun: std::time::Instant,
}

impl Flight {
    pub(super) fn begin(slot: &Arc<Slot>, begun: std::time::Instant) -> Self {
        slot.counts.in_flight.fetch_add(1, Relaxed);
        slot.counts.total.fetch_add(1, Relaxed);
        Self { slot: Arc::clone(slot), begun }
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

/// A number from 0 to 1.
pub(super) fn random() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    let dice = std::collections::hash_map::RandomState::new().build_hasher().finish();
    (dice >> 11) as f64 / (1_u64 << 53) as f64
}
