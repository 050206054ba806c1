//! A set of endpoints that serve the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use http::{Request, Response};

use super::endpoint::Member;
use super::members::Members;
use super::pick::{Hint, Pick};
use super::slot::Failure;
use super::upload::Watch;
use super::view::View;
use super::{Error, echo, message};
use crate::config::{self, Backend, Protocol};
use crate::http::Body;

/// A set of endpoints, with the connections to them. It is shared by all workers and outlives a reload that does
/// not change its configuration, so that connections do too.
pub struct Cluster {
    name: Arc<str>,
    fleet: Fleet,
}

enum Fleet {
    Echo(Arc<str>),
    Endpoints { members: Members, protocol: Protocol },
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
    pub fn new(name: &str, config: &config::Upstream, workers: usize) -> Self {
        let fleet = match &config.backend {
            Backend::Echo => Fleet::Echo(echo::ENDPOINT.into()),
            Backend::Endpoints(endpoints) => {
                Fleet::Endpoints { members: Members::new(name, config, endpoints, workers), protocol: config.protocol }
            }
        };
        Self { name: name.into(), fleet }
    }

    /// The upstream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its endpoints can be asked to speak another protocol than HTTP.
    pub fn takes_upgrades(&self) -> bool {
        matches!(self.fleet, Fleet::Endpoints { protocol: Protocol::Http1, .. })
    }

    /// Whether any endpoint has all these labels. The demo server has none.
    pub fn has_subset(&self, subset: &[(String, String)]) -> bool {
        match &self.fleet {
            Fleet::Echo(_) => subset.is_empty(),
            Fleet::Endpoints { members, .. } => members.current().iter().any(|member| member.has_all(subset)),
        }
    }

    /// The endpoints in the order of the configuration; none for the demo server.
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        let Fleet::Endpoints { members, .. } = &self.fleet else { return Vec::new() };
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
            }
        };
        members.current().iter().map(status).collect()
    }

    /// Sends a request to an endpoint, and waits for the head of its response. The request's target is in origin form
    /// (RFC 9112, section 3.2.1), its `Host` is set, and it has no field that belongs to the client's connection
    /// ([`crate::http::hop::strip_request`]).
    ///
    /// Call it on the runtime of `worker`, to which connections belong. An endpoint to which no connection can be
    /// made is passed over for the next, each at most once. Dropping the future gives the request up.
    ///
    /// # Errors
    ///
    /// Why there is no response; of several endpoints, what happened at the last.
    pub async fn send(&self, worker: usize, mut request: Box<Request<Body>>, hint: Hint<'_>) -> Result<Sent, Error> {
        match &self.fleet {
            Fleet::Echo(endpoint) => {
                let response = Box::pin(echo::answer(&self.name, *request)).await?;
                Ok(Sent { response, endpoint: Arc::clone(endpoint) })
            }
            Fleet::Endpoints { members, protocol } => {
                let watch = prepare(&mut request, *protocol);
                let sent = send_to_one(Pick::new(members.lane(worker), hint), request, &watch).await;
                sent.unwrap_or_else(|| {
                    Err(Error::NoEndpoint { upstream: Arc::clone(&self.name), subset: hint.subset.to_vec() })
                })
            }
        }
    }
}

fn prepare(request: &mut Request<Body>, protocol: Protocol) -> Watch {
    message::settle_length(request);
    if protocol == Protocol::Http1 {
        message::for_http1(request);
    }
    Watch::over(request.body_mut())
}

/// Sends a request to one endpoint after the other until it was sent; none where there is no endpoint.
async fn send_to_one(
    mut pick: Pick<'_>,
    mut request: Box<Request<Body>>,
    watch: &Watch,
) -> Option<Result<Sent, Error>> {
    let mut last = None;
    while let Some(slot) = pick.next() {
        match slot.send(request, watch).await {
            Ok(response) => return Some(Ok(Sent { response, endpoint: Arc::clone(&slot.address) })),
            Err(Failure { error, unsent: None }) => return Some(Err(error)),
            Err(Failure { error, unsent: Some(unsent) }) => {
                request = unsent;
                last = Some(Err(error));
            }
        }
    }
    last
}
