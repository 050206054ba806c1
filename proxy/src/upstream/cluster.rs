//! A set of endpoints that serve the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use http::{Request, Response};

use super::breaker::State as BreakerState;
use super::common::{Common, Events};
use super::endpoint::Member;
use super::held::Held;
use super::members::Members;
use super::pick::{Hint, Pick};
use super::slot::{Failure, Terms};
use super::tries::{self, Policy};
use super::upload::Watch;
use super::view::View;
use super::{Ends, Error, echo, message};
use crate::config::{self, Backend};
use crate::http::Body;
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
    Endpoints(Members),
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

/// One endpoint for the admin API; numbers are sums over all workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Host and port.
    pub address: Arc<str>,
    /// Labels for subsets.
    pub labels: BTreeMap<String, String>,
    /// Requests whose response has not ended.
    pub in_flight: usize,
    /// Requests begun.
    pub total: u64,
    /// Requests that got no response, and responses that broke off.
    pub failures: u64,
    /// What its breaker does, where it has one.
    pub breaker: Option<BreakerState>,
}

/// What is said of a request that is sent.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The worker on whose runtime this is.
    pub worker: usize,
    /// Which endpoint it wants.
    pub hint: Hint<'a>,
    /// The client's connection, where the endpoint shall learn of it.
    pub ends: Option<Ends>,
    /// When whoever waits gives it up.
    pub deadline: Instant,
    /// What its route says of how it is sent.
    pub sending: &'a config::RouteSending,
    /// Where events are counted.
    pub events: Events<'a>,
}

impl Cluster {
    /// A cluster without connections, for workers `0..workers`.
    pub fn new(name: &str, config: &config::Upstream, tls: Option<ClientTls>, workers: usize) -> Self {
        let common = Arc::new(Common::new(name, config, tls));
        let fleet = match &config.backend {
            Backend::Echo => Fleet::Echo(echo::ENDPOINT.into()),
            Backend::Endpoints(endpoints) => Fleet::Endpoints(Members::new(name, config, &common, endpoints, workers)),
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

    /// Whether any endpoint has all these labels. The demo server has none.
    pub fn has_subset(&self, subset: &[(String, String)]) -> bool {
        match &self.fleet {
            Fleet::Echo(_) => subset.is_empty(),
            Fleet::Endpoints(members) => members.current().iter().any(|member| member.has_all(subset)),
        }
    }

    /// The endpoints in the order of the configuration; none for the demo server.
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        let Fleet::Endpoints(members) = &self.fleet else { return Vec::new() };
        let views = members.views();
        let status = |member: &Member| {
            let of = |view| View::slot(view, member.endpoint.id);
            let counts = || views.iter().filter_map(|view| Some(&of(view)?.counts));
            EndpointStatus {
                address: Arc::clone(&member.endpoint.address),
                labels: member.found.labels.clone(),
                in_flight: counts().map(|counts| counts.in_flight.load(Relaxed)).sum(),
                total: counts().map(|counts| counts.total.load(Relaxed)).sum(),
                failures: counts().map(|counts| counts.failures.load(Relaxed)).sum(),
                breaker: member.endpoint.breaker.as_ref().map(|breaker| breaker.state()),
            }
        };
        members.current().iter().map(status).collect()
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
        let members = match &self.fleet {
            Fleet::Echo(endpoint) => {
                let response = Box::pin(echo::answer(&self.name, *request)).await?;
                return Ok(Sent { response, endpoint: Arc::clone(endpoint) });
            }
            Fleet::Endpoints(members) => members,
        };
        let ticket = self.common.enter(call.sending.importance, call.events)?;
        message::settle_length(&mut request);
        let watch = Watch::over(request.body_mut());
        let terms = Terms { watch, ends: call.ends, deadline: call.deadline, events: call.events };
        let pick = Pick::new(members.lane(call.worker), call.hint);
        let policy = Policy {
            retry: call.sending.retry.as_ref().or(self.common.sending.retry.as_ref()),
            hedge: call.sending.hedge.or(self.common.sending.hedge),
        };
        let sent = if policy.is_plain() {
            send_to_one(pick, request, &terms).await
        } else {
            Box::pin(tries::send(&self.common, pick, request, &call, &terms, policy)).await
        };
        let sent = sent.unwrap_or_else(|| {
            Err(Error::NoEndpoint { upstream: Arc::clone(&self.name), subset: call.hint.subset.to_vec() })
        });
        match ticket {
            None => sent,
            Some(ticket) => sent.map(|Sent { response, endpoint }| {
                ticket.answered();
                Sent { response: response.map(|body| Held::over(body, ticket)), endpoint }
            }),
        }
    }

    /// A request of which nothing else is said.
    #[cfg(test)]
    pub(super) async fn send(&self, worker: usize, request: Box<Request<Body>>, hint: Hint<'_>) -> Result<Sent, Error> {
        static PLAIN: config::RouteSending =
            config::RouteSending { retry: None, hedge: None, importance: config::Importance::Normal };
        let deadline = Instant::now() + std::time::Duration::from_secs(60);
        let events = Events { worker, metrics: None };
        self.dispatch(Call { worker, hint, ends: None, deadline, sending: &PLAIN, events }, request).await
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

/// Sends a request to one endpoint after the other until it was sent; none where there is no endpoint.
async fn send_to_one(
    mut pick: Pick<'_>,
    mut request: Box<Request<Body>>,
    terms: &Terms<'_>,
) -> Option<Result<Sent, Error>> {
    let mut last = None;
    while let Some(slot) = pick.next() {
        match slot.send(request, terms, None).await {
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
