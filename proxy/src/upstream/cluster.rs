//! A set of endpoints that serve the same.

use std::sync::{Arc, OnceLock};

use http::{Request, Response};

use super::balance::key::Key;
use super::members::Members;
use super::pick::{Hint, Pick};
use super::slot::Failure;
use super::status::Status;
use super::supervisor::{Supervisor, Watched};
use super::upload::Watch;
use super::{Error, echo, message};
use crate::config::{self, Backend, HashKey, Protocol};
use crate::http::Body;

/// A set of endpoints, with the connections to them. It is shared by all workers and outlives a reload that does
/// not change its configuration, so that connections do too.
pub struct Cluster {
    name: Arc<str>,
    fleet: Fleet,
}

enum Fleet {
    Echo(Arc<str>),
    Endpoints { members: Arc<Members>, protocol: Protocol, key: Option<HashKey>, watched: OnceLock<Option<Watched>> },
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

impl Cluster {
    /// A cluster without connections, for workers `0..workers`.
    pub fn new(name: &str, config: &config::Upstream, workers: usize) -> Self {
        let fleet = match &config.backend {
            Backend::Echo => Fleet::Echo(echo::ENDPOINT.into()),
            _ => Fleet::Endpoints {
                members: Arc::new(Members::new(name, config, workers)),
                protocol: config.protocol,
                key: config.balance.policy.key().cloned(),
                watched: OnceLock::new(),
            },
        };
        Self { name: name.into(), fleet }
    }

    /// The upstream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether any endpoint has all these labels, or requests for them go elsewhere. The demo server has none.
    pub fn has_subset(&self, subset: &[(String, String)]) -> bool {
        match &self.fleet {
            Fleet::Echo(_) => subset.is_empty(),
            Fleet::Endpoints { members, .. } => members.has_subset(subset),
        }
    }

    /// The attribute of a request that decides to which endpoint it belongs, where it is one.
    pub fn key_attribute(&self) -> Option<&str> {
        match &self.fleet {
            Fleet::Endpoints { key: Some(HashKey::Attribute(name)), .. } => Some(name),
            _ => None,
        }
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
            Fleet::Endpoints { members, protocol, key, .. } => {
                let watch = prepare(&mut request, *protocol);
                let Some(key) = key else {
                    let sent = send_to_one(Pick::new(members.lane(worker), hint), request, &watch).await;
                    return sent.unwrap_or_else(|| Err(self.nobody(hint)));
                };
                // Boxed, as most upstreams do not hash.
                let keyed = async {
                    let key = if hint.key.is_some() { Key::default() } else { Key::of(key, &request, hint.client) };
                    let hint = Hint { key: hint.key.or(key.hash), ..hint };
                    let sent = send_to_one(Pick::new(members.lane(worker), hint), request, &watch).await;
                    let mut sent = sent.unwrap_or_else(|| Err(self.nobody(hint)))?;
                    key.give(&mut sent.response);
                    Ok(sent)
                };
                Box::pin(keyed).await
            }
        }
    }

    fn nobody(&self, hint: Hint<'_>) -> Error {
        Error::NoEndpoint { upstream: Arc::clone(&self.name), subset: hint.subset.to_vec() }
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
