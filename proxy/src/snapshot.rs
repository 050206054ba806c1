//! One immutable picture of everything that a request needs: routes, chains, upstreams. A request pins it at its
//! begin and keeps it to the last byte of its response.

mod action;
mod build;
mod components;
mod fits;
mod listeners;
mod live;
mod outgoing;
mod passage;
mod plugin;
mod upstreams;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderName;

use crate::chain::{Chain, Directory, Retrying};
use crate::config::{Address, Config, Diagnostics, Loaded, ProxyProtocol, TrustedProxies};
use crate::http::edge::Edge;
use crate::net::Tls;
use crate::net::acme::Answers;
use crate::route;
use crate::telemetry::{RouteMetrics, UpstreamMetrics};
use crate::upstream::{Cluster, Supervisor};
pub use action::{Action, Fallback, Mirror, Split, Treatment};
pub use build::{Builder, Code, Resources, read_secret};
pub use components::{ComponentEntry, code_name};
pub use live::{Live, Pin, Pinner};
pub use outgoing::Outgoing;
pub use passage::Passage;
pub use plugin::{Code as PluginCode, PluginEntry, PluginState, Step};

/// How long a start or a reload waits for the first endpoints of upstreams that have to look for them.
const SEARCH_TIME: Duration = Duration::from_secs(2);

/// A configuration that can serve.
pub struct Snapshot {
    /// Counts up with each configuration that went live.
    pub generation: u64,
    /// When it was built.
    pub built: SystemTime,
    /// The file that it was built from.
    pub loaded: Arc<Loaded>,
    /// The token that the admin API asks for.
    pub admin_token: Option<Vec<u8>>,
    /// Which route takes a request: an index into [`Self::routes`]. The first table has the routes that serve on all
    /// listeners; there are more where routes name listeners.
    pub tables: Vec<route::Table>,
    /// The table of each listener, by the number that it keeps as long as gofe lives.
    pub table_of: Vec<usize>,
    /// The routes in the order of the file.
    pub routes: Vec<Route>,
    /// Upstreams by name.
    pub upstreams: BTreeMap<String, Upstream>,
    /// Plugins by name.
    pub plugins: BTreeMap<String, PluginEntry>,
    /// The components that upstreams are, by the upstreams' names.
    pub components: BTreeMap<String, ComponentEntry>,
    /// Listeners by the address in the file.
    pub listeners: BTreeMap<Address, Listener>,
    /// What authorities are answered in cleartext, where certificates are got by it.
    pub answers: Option<Arc<Answers>>,
    /// The number of each listener that there is or was, by its address.
    pub numbers: BTreeMap<Address, usize>,
    /// The headers that carry the identity of clients, of all listeners: no client may set them.
    pub identities: Vec<HeaderName>,
    /// What the files that the configuration names make an operator think of.
    pub warnings: Diagnostics,
}

/// One listener, as its connections need it.
#[derive(Clone)]
pub struct Listener {
    /// Its number.
    pub number: usize,
    /// Who begins connections with a PROXY header, where somebody does.
    pub proxy_protocol: Option<Arc<ProxyProtocol>>,
    /// Whom it believes about the client's address, where it believes anybody.
    pub trusted: Option<Arc<TrustedProxies>>,
    /// What happens to bytes that are passed on, where they are.
    pub passage: Option<Arc<Passage>>,
    /// TLS, where it is spoken.
    pub tls: Option<Arc<Tls>>,
    /// What happens to every request and response, where something does.
    pub edge: Option<Arc<Edge>>,
}

/// One route, with everything it needs at hand.
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// Its chain; an empty one where it names none.
    pub chain: Arc<Chain<Step>>,
    /// What answers.
    pub action: Action,
    /// What happens to requests and responses on their way, where anything does.
    pub treatment: Option<Box<Treatment>>,
    /// How long the response's headers may take.
    pub timeout: Duration,
    /// The most bytes of a request's body.
    pub body_size: u64,
    /// How its requests are sent.
    pub sending: crate::config::RouteSending,
    /// The protocols that clients may change to.
    pub upgrades: Vec<String>,
    /// Whether calls of gRPC-Web are translated.
    pub grpc_web: bool,
    /// What is counted.
    pub metrics: Arc<RouteMetrics>,
}

/// An upstream and what is counted of it.
#[derive(Clone)]
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// The endpoints and their connections.
    pub cluster: Arc<Cluster>,
    /// What is counted.
    pub metrics: Arc<UpstreamMetrics>,
}

impl Snapshot {
    /// What the file said.
    pub fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// Begins to watch upstreams: discovery, health checks, outlier detection. Waits a moment for the first endpoints of
    /// those that are new, so that a start, or a reload, has them; one whose name does not resolve comes without.
    pub async fn begin(&self, supervisor: &Supervisor) {
        let clusters = self.upstreams.values().map(|upstream| &upstream.cluster);
        clusters.clone().for_each(|cluster| cluster.start(supervisor));
        let all = async {
            for cluster in clusters {
                cluster.searched().await;
            }
        };
        // What is not there by then is in the log when it is known.
        let _ = tokio::time::timeout(SEARCH_TIME, all).await;
    }

    /// The routes that serve on the listener of this number.
    pub fn table(&self, listener: usize) -> &route::Table {
        // One that left the configuration has open connections still.
        &self.tables[self.table_of.get(listener).copied().unwrap_or_default()]
    }

    fn route(&self, name: &str) -> Option<&Route> {
        self.routes.iter().find(|route| *route.name == *name)
    }

    /// The upstream of this name.
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.get(name)
    }
}

impl Directory for Snapshot {
    fn has_upstream(&self, name: &str) -> bool {
        self.upstreams.contains_key(name)
    }

    fn has_subset(&self, upstream: Option<&str>, route: &str, labels: &[(String, String)]) -> bool {
        let fits = |upstream: &Upstream| upstream.cluster.has_subset(labels);
        match upstream {
            Some(name) => self.upstreams.get(name).is_some_and(fits),
            None => self.route(route).is_some_and(|route| route.action.upstreams().any(fits)),
        }
    }

    fn route_upstream(&self, route: &str) -> Option<Arc<str>> {
        self.route(route)?.action.upstream().map(|upstream| upstream.name.clone())
    }

    fn retry(&self, upstream: Option<&str>, route: &str) -> Option<Retrying> {
        let route = self.route(route)?;
        let upstream = upstream.map_or_else(|| route.action.upstream(), |name| self.upstreams.get(name));
        let retry = match upstream {
            Some(upstream) => upstream.cluster.retry(&route.sending),
            None => route.sending.retry.as_ref(),
        };
        retry.map(Retrying::from)
    }
}
