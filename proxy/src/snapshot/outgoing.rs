//! Plugins' own requests: to hosts, and to upstreams of the configuration that serves.

use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use http::Request;

use super::Live;
use crate::chain::{Opening, Outbound, OutboundError, OutboundRequest, OutboundResponse};
use crate::config::RouteSending;
use crate::http::Body;
use crate::upstream::outbound::Client;
use crate::upstream::{Call, Events, Hint};

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Sends plugins' requests.
#[derive(Debug)]
pub struct Outgoing {
    client: Client,
    /// Where the upstreams are, once something serves.
    live: OnceLock<Weak<Live>>,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self::new()
    }
}

impl Outgoing {
    /// One that knows no upstreams yet.
    pub fn new() -> Self {
        Self { client: Client::new(), live: OnceLock::new() }
    }

    /// From now on upstreams are those of what serves.
    pub fn follow(&self, live: &Arc<Live>) {
        // There is one in a process.
        let _ = self.live.set(Arc::downgrade(live));
    }
}

impl Outbound for Outgoing {
    fn send(
        &self,
        request: OutboundRequest,
        timeout: Duration,
        limit: usize,
    ) -> Pin<Box<dyn Future<Output = Result<OutboundResponse, OutboundError>> + Send>> {
        self.client.send(request, timeout, limit)
    }

    fn open(&self, request: Request<Body>, http2: bool) -> Opening {
        self.client.open(request, http2)
    }

    fn open_upstream(&self, worker: usize, name: &str, request: Request<Body>) -> Opening {
        let snapshot = self.live.get().and_then(Weak::upgrade).map(|live| live.current());
        let upstream = snapshot.and_then(|snapshot| snapshot.upstream(name).cloned());
        let name = name.to_owned();
        Box::pin(async move {
            let missing = || OutboundError::Unreachable(format!("there is no upstream `{name}`"));
            let upstream = upstream.ok_or_else(missing)?;
            let sending = RouteSending::default();
            let begun = Instant::now();
            let call = Call {
                begun,
                worker,
                hint: Hint::default(),
                ends: None,
                // Whoever asked has a timeout of its own.
                deadline: begun + A_DAY,
                sending: &sending,
                retry: upstream.cluster.retry(&sending),
                events: Events { worker, metrics: Some(&upstream.metrics) },
            };
            let sent = upstream.cluster.dispatch(call, Box::new(request)).await;
            sent.map(|sent| sent.response).map_err(|error| OutboundError::Unreachable(error.to_string()))
        })
    }
}
