//! What the unit tests of plugins have in common: what a plugin is given, and a request for it.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use tokio::runtime::{Builder, Runtime};

use super::{Artifact, Engine, Env};
use crate::chain::{Client, Exchange, Opening, Outbound, OutboundError, OutboundRequest, OutboundResponse, State};
use crate::config::{Allow, InstanceMode, OnError, Output, PluginLimits, Vm};
use crate::http::Body;
use crate::store::Stores;
use crate::telemetry::{Metrics, Outputs};

/// Reaches nobody.
struct Nowhere;

impl Outbound for Nowhere {
    fn send(
        &self,
        _: OutboundRequest,
        _: Duration,
        _: usize,
    ) -> Pin<Box<dyn Future<Output = Result<OutboundResponse, OutboundError>> + Send>> {
        Box::pin(async { Err(OutboundError::Timeout) })
    }

    fn open(&self, _: Request<Body>, _: bool) -> Opening {
        Box::pin(async { Err(OutboundError::Timeout) })
    }

    fn open_upstream(&self, _: usize, _: &str, _: Request<Body>) -> Opening {
        Box::pin(async { Err(OutboundError::Timeout) })
    }
}

/// What a plugin is given that has this configuration, as JSON.
pub(super) fn env(config: &str) -> Env {
    let metrics = Metrics::new(1);
    let stores = Stores::new();
    let allow = Allow { metrics: true, http: vec!["127.0.0.1:1".parse().unwrap()], ..Allow::default() };
    Env {
        name: "p".into(),
        config: config.to_owned(),
        limits: PluginLimits { time: Duration::from_millis(500), memory: 1 << 20, body: 1 << 16 },
        instance: InstanceMode::PerCall,
        on_error: OnError::FailClosed,
        allow,
        secrets: BTreeMap::new(),
        upstreams: Arc::new(BTreeSet::new()),
        space: stores.space("p"),
        metrics: metrics.plugin("p"),
        custom: metrics.custom("p"),
        output: Outputs::new(1, metrics.clone()).open(&Output::Stdout).unwrap(),
        outbound: Arc::new(Nowhere),
        vm: Vm::of("p"),
        shared: stores.shared("p"),
        queues: stores.queues(),
        workers: 1,
    }
}

/// The code of a module that is written as text.
pub(super) fn artifact(engine: &Engine, text: &str) -> Artifact {
    Artifact::load(engine, &wat::parse_str(text).unwrap(), None, None).unwrap()
}

/// A request with a field and without a body.
pub(super) fn exchange() -> Exchange {
    let request = Request::post("/path").header("host", "a").header("x-a", "1").body(()).unwrap();
    let (parts, ()) = request.into_parts();
    let client = Arc::new(Client::new(0, "127.0.0.1:1".parse().unwrap(), None));
    Exchange::new(State::new(parts, client, "r".into(), Arc::new(()), Instant::now()))
}

/// Where calls run.
pub(super) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
