//! A set of endpoints that serve the same.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Request, Response};

use super::balance::hash;
use super::balance::key::Key;
use super::breaker::State as BreakerState;
use super::common::{Common, Events};
use super::held::Held;
use super::members::Members;
use super::pick::{Hint, Pick};
use super::slot::{Failure, Terms};
use super::status::Status;
use super::supervisor::{Supervisor, Watched};
use super::tries::{self, Policy};
use super::upload::Watch;
use super::{Ends, Error, echo, message};
use crate::chain::Service;
use crate::config::{self, Backend, HashKey, Protocol};
use crate::http::Body;
use crate::http::upgrade::Duplex;
use crate::net::ClientTls;

/// A set of endpoints, with the connections to them. It is shared by all workers and outlives a reload that does
/// not change its configuration, so that connections do too.
pub struct Cluster {
    name: Arc<str>,
    fleet: Fleet,
    common: Arc<Common>,
}

enum Fleet {
    Echo(Arc<str>),
    Endpoints { members: Arc<Members>, key: Option<HashKey>, watched: OnceLock<Option<Watched>> },
}

/// A response, and who gave it.
#[derive(Debug)]
pub struct Sent {
    /// The response as it came: fields that belong to the upstream's connection are still there
    /// ([`crate::http::hop::strip_response`]). Its version is the one it came in, but never below HTTP/1.1. Its body
    /// counts as in flight until it has ended or is dropped.
    pub response: Response<Body>,
    /// The endpoint's authority, or `echo`.
    pub endpoint: Arc<str>,
}

/// What is said of a request that is sent.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// When it began.
    pub begun: Instant,
    /// The worker on whose runtime this is.
    pub worker: usize,
    /// Which endpoint it wants.
    pub hint: Hint<'a>,
    /// The client's connection, where the endpoint shall learn of it.
    pub ends: Option<Ends>,
    /// When whoever waits gives it up.
    pub deadline: Instant,
    /// What its route says of how it is sent, but for `retry`.
    pub sending: &'a config::RouteSending,
    /// What follows on a failed try: [`Cluster::retry`], or what was chosen in its place.
    pub retry: Option<&'a config::Retry>,
    /// Where events are counted.
    pub events: Events<'a>,
}

/// How long a connection for bytes may be sought, over all endpoints.
const CONNECT: std::time::Duration = std::time::Duration::from_secs(60);

/// A connection to an endpoint, for bytes that are no HTTP.
pub struct Connected {
    /// The connection; it counts as in flight until it is dropped.
    pub stream: Box<dyn Duplex>,
    /// The endpoint's authority.
    pub endpoint: Arc<str>,
}

impl Cluster {
    /// A cluster without connections, for workers `0..workers`.
    pub fn new(name: &str, config: &config::Upstream, tls: Option<ClientTls>, workers: usize) -> Self {
        Self::with(name, config, Common::new(name, config, tls, None), workers)
    }

    /// A cluster that is no servers in the network, but code that runs in gofe.
    pub fn serving(name: &str, config: &config::Upstream, service: Arc<dyn Service>, workers: usize) -> Self {
        Self::with(name, config, Common::new(name, config, None, Some(service)), workers)
    }

    fn with(name: &str, config: &config::Upstream, common: Common, workers: usize) -> Self {
        let common = Arc::new(common);
        let fleet = match &config.backend {
            Backend::Echo => Fleet::Echo(echo::ENDPOINT.into()),
            _ => Fleet::Endpoints {
                members: Arc::new(Members::new(name, config, &common, workers)),
                key: config.balance.policy.key().cloned(),
                watched: OnceLock::new(),
            },
        };
        Self { name: name.into(), fleet, common }
    }

    /// Takes TLS whose files have changed: for connections that are made from now on.
    pub fn renew(&self, tls: Option<ClientTls>) {
        self.common.renew(tls);
    }

    /// The upstream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its endpoints can be asked to speak another protocol than HTTP.
    pub fn takes_upgrades(&self) -> bool {
        self.common.service.is_none()
            && matches!(&self.fleet, Fleet::Endpoints { members, .. } if members.config.protocol == Protocol::Http1)
    }

    /// Whether any endpoint has all these labels, or requests for them go elsewhere. The demo server has none.
    pub fn has_subset(&self, subset: &[(String, String)]) -> bool {
        match &self.fleet {
            Fleet::Echo(_) => subset.is_empty(),
            Fleet::Endpoints { members, .. } => members.has_subset(subset),
        }
    }

    /// The hash for a request: of the key that was chosen for it, or of the attribute that the balancing names. None
    /// where neither counts here; what else may be hashed stands in the request itself.
    pub fn key<'a>(&self, chosen: Option<&[u8]>, attribute: impl FnOnce(&str) -> Option<&'a Bytes>) -> Option<u64> {
        let Fleet::Endpoints { key: Some(key), .. } = &self.fleet else { return None };
        match (chosen, key) {
            (Some(chosen), _) => Some(hash(chosen)),
            (None, HashKey::Attribute(name)) => attribute(name).map(|value| hash(value)),
            (None, _) => None,
        }
    }

    /// What the configuration wants done with a failed try of a route's request: what the route says, or the upstream.
    pub fn retry<'a>(&'a self, route: &'a config::RouteSending) -> Option<&'a config::Retry> {
        route.retry.as_ref().or(self.common.sending.retry.as_ref())
    }

    /// What there is to know of the endpoints, in the order of the configuration; nothing for the demo server.
    pub fn status(&self) -> Status {
        match &self.fleet {
            Fleet::Echo(_) => Status::default(),
            Fleet::Endpoints { members, .. } => Status::of(members),
        }
    }

    /// Begins discovery, health checks and outlier detection, where there are any; they end with the cluster. Only
    /// the first call counts.
    pub fn start(&self, supervisor: &Supervisor) {
        if let Fleet::Endpoints { members, watched, .. } = &self.fleet {
            watched.get_or_init(|| supervisor.watch(members));
        }
    }

    /// Waits until discovery has looked for endpoints once, well or not, where there is any.
    pub async fn searched(&self) {
        if let Fleet::Endpoints { members, .. } = &self.fleet
            && matches!(members.config.backend, Backend::Dns(_) | Backend::File(_))
        {
            members.discovery.first().await;
        }
    }

    /// Sends a request to an endpoint, and waits for the head of its response. The request's target is in origin form
    /// (RFC 9112, section 3.2.1), its `Host` is set, and it has no field that belongs to the client's connection
    /// ([`crate::http::hop::strip_request`]).
    ///
    /// Call it on the runtime of the call's worker, to which connections belong. An endpoint to which no connection can be
    /// made is passed over for the next, each at most once. Dropping the future gives the request up.
    ///
    /// # Errors
    ///
    /// Why there is no response; of several endpoints, what happened at the last.
    pub async fn dispatch(&self, call: Call<'_>, mut request: Box<Request<Body>>) -> Result<Sent, Error> {
        let (members, key) = match &self.fleet {
            Fleet::Echo(endpoint) => {
                let response = Box::pin(echo::answer(&self.name, *request)).await?;
                return Ok(Sent { response, endpoint: Arc::clone(endpoint) });
            }
            Fleet::Endpoints { members, key, .. } => (members, key.as_ref()),
        };
        let begun = call.begun;
        let ticket = self.common.enter(call.sending.importance, call.events, begun)?;
        message::settle_length(&mut request);
        let watch = Watch::over(request.body_mut());
        let terms = Terms { watch, ends: call.ends, deadline: call.deadline, events: call.events };
        let (hint, cookie) = match key {
            Some(key) => Key::settle(key, &request, call.hint),
            None => (call.hint, None),
        };
        let pick = Pick::new(members.lane(call.worker), hint);
        let policy = Policy { retry: call.retry, hedge: call.sending.hedge.or(self.common.sending.hedge) };
        let sent = if policy.is_plain() {
            send_to_one(pick, request, &terms, begun).await
        } else {
            Box::pin(tries::send(&self.common, pick, request, &call, &terms, policy, begun)).await
        };
        let sent = sent.unwrap_or_else(|| {
            Err(Error::NoEndpoint { upstream: Arc::clone(&self.name), subset: call.hint.subset.to_vec() })
        });
        let sent = match cookie {
            Some(cookie) => sent.map(|mut sent| {
                sent.response.headers_mut().append(SET_COOKIE, cookie);
                sent
            }),
            None => sent,
        };
        match ticket {
            None => sent,
            Some(ticket) => sent.map(|Sent { response, endpoint }| {
                ticket.answered();
                Sent { response: response.map(|body| Held::over(body, ticket)), endpoint }
            }),
        }
    }

    /// Connects to an endpoint, chosen as for a request, for bytes that are no HTTP. An endpoint to which no connection can
    /// be made is passed over for the next.
    ///
    /// # Errors
    ///
    /// Why there is no connection; of several endpoints, what happened at the last.
    pub async fn connect(&self, hint: Hint<'_>, ends: Ends, events: Events<'_>) -> Result<Connected, Error> {
        let watch = Watch::over(&mut Body::Empty);
        let deadline = Instant::now() + CONNECT;
        let terms = Terms { watch, ends: Some(ends), deadline, events };
        let mut last = Error::NoEndpoint { upstream: Arc::clone(&self.name), subset: hint.subset.to_vec() };
        let Fleet::Endpoints { members, .. } = &self.fleet else { return Err(last) };
        let mut pick = Pick::new(members.lane(events.worker), hint);
        while let Some(slot) = pick.next() {
            match slot.open(&terms).await {
                Ok(stream) => return Ok(Connected { stream, endpoint: Arc::clone(&slot.address) }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A request of which nothing else is said.
    #[cfg(test)]
    pub(super) async fn send(&self, worker: usize, request: Box<Request<Body>>, hint: Hint<'_>) -> Result<Sent, Error> {
        static PLAIN: config::RouteSending =
            config::RouteSending { retry: None, hedge: None, importance: config::Importance::Normal };
        let begun = Instant::now();
        let deadline = begun + std::time::Duration::from_secs(60);
        let events = Events { worker, metrics: None };
        let retry = self.retry(&PLAIN);
        self.dispatch(Call { begun, worker, hint, ends: None, deadline, sending: &PLAIN, retry, events }, request).await
    }

    /// What its breaker does, where it has one, and how often it has opened.
    pub fn breaker(&self) -> Option<(BreakerState, u64)> {
        self.common.breaker.as_ref().map(|breaker| (breaker.state(), breaker.opened()))
    }

    /// Requests in progress where there is a limit on them, and what adaptive concurrency allows of them now.
    pub fn load(&self) -> (Option<usize>, Option<u32>) {
        self.common.load()
    }
}

/// Sends a request, which begins now, to one endpoint after the other until it was sent; none where there is no endpoint.
async fn send_to_one(
    mut pick: Pick<'_>,
    mut request: Box<Request<Body>>,
    terms: &Terms<'_>,
    now: Instant,
) -> Option<Result<Sent, Error>> {
    let mut last = None;
    let mut begun = Some(now);
    while let Some(slot) = pick.next() {
        match slot.send(request, terms, None, begun.take().unwrap_or_else(Instant::now)).await {
            Ok(response) => return Some(Ok(Sent { response, endpoint: Arc::clone(&slot.address) })),
            Err(Failure { error, unsent: None }) => return Some(Err(error)),
            Err(Failure { error, .. }) if error.is_final() => return Some(Err(error)),
            Err(Failure { error, unsent: Some(unsent) }) => {
                request = unsent;
                // That a breaker is open says less than what happened at an endpoint.
                if last.is_none() || !matches!(error, Error::CircuitOpen { .. }) {
                    last = Some(Err(error));
                }
            }
        }
    }
    last
}
