//! A set of endpoints that serve the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;
use http::{Request, Response};

use super::balance::{Balancer, Candidates};
use super::connect::Tls;
use super::slot::{Failure, Slot, Terms};
use super::upload::Watch;
use super::{Error, echo, message};
use crate::config::{self, Backend};
use crate::http::Body;
use crate::net::ClientTls;

/// A set of endpoints, with the connections to them. It is shared by all workers and outlives a reload that does
/// not change its configuration, so that connections do too.
pub struct Cluster {
    name: Arc<str>,
    fleet: Fleet,
    tls: Option<Tls>,
}

enum Fleet {
    Echo(Arc<str>),
    Endpoints { labels: Vec<BTreeMap<String, String>>, lanes: Box<[Lane]> },
}

/// All endpoints as one worker sees them.
struct Lane {
    balancer: Balancer,
    slots: Vec<Arc<Slot>>,
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
}

impl Cluster {
    /// A cluster without connections, for workers `0..workers`.
    pub fn new(name: &str, config: &config::Upstream, tls: Option<ClientTls>, workers: usize) -> Self {
        let tls: Option<Tls> = tls.map(|tls| Arc::new(ArcSwap::from_pointee(tls)));
        let fleet = match &config.backend {
            Backend::Echo => Fleet::Echo(echo::ENDPOINT.into()),
            Backend::Endpoints(endpoints) => Fleet::Endpoints {
                labels: endpoints.iter().map(|endpoint| endpoint.labels.clone()).collect(),
                lanes: (0..workers.max(1))
                    .map(|worker| Lane::new(name, endpoints, config, tls.as_ref(), worker))
                    .collect(),
            },
        };
        Self { name: name.into(), fleet, tls }
    }

    /// Takes TLS whose files have changed: for connections that are made from now on.
    pub fn renew(&self, tls: Option<ClientTls>) {
        if let (Some(running), Some(tls)) = (&self.tls, tls)
            && !running.load().same_files(&tls)
        {
            running.store(Arc::new(tls));
        }
    }

    /// The upstream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether any endpoint has all these labels. The demo server has none.
    pub fn has_subset(&self, subset: &[(String, String)]) -> bool {
        match &self.fleet {
            Fleet::Echo(_) => subset.is_empty(),
            Fleet::Endpoints { labels, .. } => labels.iter().any(|labels| has_all(labels, subset)),
        }
    }

    /// The endpoints in the order of the configuration; none for the demo server.
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        let Fleet::Endpoints { labels, lanes, .. } = &self.fleet else { return Vec::new() };
        let status = |(at, labels): (usize, &BTreeMap<String, String>)| {
            let slots = || lanes.iter().map(|lane| &lane.slots[at]);
            EndpointStatus {
                address: Arc::clone(&lanes[0].slots[at].address),
                labels: labels.clone(),
                in_flight: slots().map(|slot| slot.counts.in_flight.load(Relaxed)).sum(),
                total: slots().map(|slot| slot.counts.total.load(Relaxed)).sum(),
                failures: slots().map(|slot| slot.counts.failures.load(Relaxed)).sum(),
            }
        };
        labels.iter().enumerate().map(status).collect()
    }

    /// Sends a request to an endpoint that has all labels of `subset`, and waits for the head of its response. The
    /// request's target is in origin form (RFC 9112, section 3.2.1), its `Host` is set, and it has no field that
    /// belongs to the client's connection ([`crate::http::hop::strip_request`]).
    ///
    /// Call it on the runtime of `worker`, to which connections belong. An endpoint to which no connection can be
    /// made is passed over for the next, each at most once. Dropping the future gives the request up.
    ///
    /// # Errors
    ///
    /// Why there is no response; of several endpoints, what happened at the last.
    pub async fn send(
        &self,
        worker: usize,
        mut request: Box<Request<Body>>,
        subset: &[(String, String)],
    ) -> Result<Sent, Error> {
        match &self.fleet {
            Fleet::Echo(endpoint) => {
                let response = Box::pin(echo::answer(&self.name, *request)).await?;
                Ok(Sent { response, endpoint: Arc::clone(endpoint) })
            }
            Fleet::Endpoints { labels, lanes, .. } => {
                let lane = &lanes[worker % lanes.len()];
                let choice = Choice { lane, eligible: Eligible::of(labels, subset) };
                message::settle_length(&mut request);
                let terms = Terms { watch: Watch::over(request.body_mut()), ends: None };
                let sent = send_to_one(choice, request, &terms).await;
                sent.unwrap_or_else(|| {
                    Err(Error::NoEndpoint { upstream: Arc::clone(&self.name), subset: subset.to_vec() })
                })
            }
        }
    }
}

/// Sends a request to one endpoint after the other until it was sent; none where there is no endpoint.
async fn send_to_one(
    mut choice: Choice<'_>,
    mut request: Box<Request<Body>>,
    terms: &Terms,
) -> Option<Result<Sent, Error>> {
    let mut last = None;
    while let Some(at) = choice.next() {
        let slot = &choice.lane.slots[at];
        match slot.send(request, terms).await {
            Ok(response) => return Some(Ok(Sent { response, endpoint: Arc::clone(&slot.address) })),
            Err(Failure { error, unsent: None }) => return Some(Err(error)),
            Err(Failure { error, unsent: Some(unsent) }) => {
                choice.exclude(at);
                request = unsent;
                last = Some(Err(error));
            }
        }
    }
    last
}

impl Lane {
    fn new(
        name: &str,
        endpoints: &[config::Endpoint],
        config: &config::Upstream,
        tls: Option<&Tls>,
        worker: usize,
    ) -> Self {
        let slot = |endpoint| Arc::new(Slot::new(name, endpoint, config, tls.cloned()));
        let slots: Vec<_> = endpoints.iter().map(slot).collect();
        // Workers take turns from different beginnings, or the first endpoint would get all first requests.
        for slot in &slots {
            slot.turn.store(worker, Relaxed);
        }
        Self { balancer: Balancer::new(config.balance), slots }
    }
}

/// The choice among those endpoints of a lane that are left.
struct Choice<'a> {
    lane: &'a Lane,
    eligible: Eligible,
}

/// Which endpoints are left; most requests may go to any.
enum Eligible {
    All,
    Some(Vec<usize>),
}

impl Eligible {
    fn of(labels: &[BTreeMap<String, String>], subset: &[(String, String)]) -> Self {
        if subset.is_empty() {
            return Self::All;
        }
        Self::Some((0..labels.len()).filter(|at| has_all(&labels[*at], subset)).collect())
    }
}

impl Choice<'_> {
    fn next(&self) -> Option<usize> {
        if self.count() == 0 {
            return None;
        }
        Some(self.at(self.lane.balancer.choose(self)))
    }

    fn exclude(&mut self, tried: usize) {
        self.eligible = Eligible::Some((0..self.count()).map(|nth| self.at(nth)).filter(|at| *at != tried).collect());
    }

    /// The index of the nth of those that are left.
    fn at(&self, nth: usize) -> usize {
        match &self.eligible {
            Eligible::All => nth,
            Eligible::Some(left) => left[nth],
        }
    }
}

impl Candidates for Choice<'_> {
    fn count(&self) -> usize {
        match &self.eligible {
            Eligible::All => self.lane.slots.len(),
            Eligible::Some(left) => left.len(),
        }
    }

    fn in_flight(&self, nth: usize) -> usize {
        self.lane.slots[self.at(nth)].counts.in_flight.load(Relaxed)
    }

    fn turn(&self) -> &AtomicUsize {
        &self.lane.slots[self.at(0)].turn
    }
}

fn has_all(labels: &BTreeMap<String, String>, subset: &[(String, String)]) -> bool {
    subset.iter().all(|(name, value)| labels.get(name).is_some_and(|label| label == value))
}
