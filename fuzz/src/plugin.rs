//! A plugin and a request for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gofe::chain::{Client, Exchange, Filter, Phase, State};
use gofe::config::{Allow, InstanceMode, OnError, Output, PluginLimits, Vm};
use gofe::http::Body;
use gofe::snapshot::Outgoing;
use gofe::store::Stores;
use gofe::telemetry::{Metrics, Outputs};
use gofe::wasm::{Artifact, Engine, Env};
use tokio::runtime::{Builder, Runtime};

/// Where calls run.
pub(crate) static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().expect("a runtime"));

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new().expect("an engine"));

/// A module that is written as text.
pub(crate) fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("a module")
}

/// What a plugin with this code is made of.
pub(crate) fn parts(module: &[u8]) -> (Engine, Artifact, Env) {
    let artifact = Artifact::load(&ENGINE, module, None, None).expect("the guest compiles");
    let (metrics, stores) = (Metrics::new(1), Stores::new());
    let env = Env {
        name: "p".into(),
        config: "null".into(),
        // Less time would be a matter of how busy the machine is.
        limits: PluginLimits { time: Duration::from_secs(5), memory: 1 << 20, body: 1 << 16 },
        instance: InstanceMode::PerCall,
        on_error: OnError::FailClosed,
        allow: Allow { metrics: true, key_value: true, ..Allow::default() },
        secrets: BTreeMap::new(),
        upstreams: Arc::new(BTreeSet::new()),
        space: stores.space("p"),
        metrics: metrics.plugin("p"),
        custom: metrics.custom("p"),
        output: Outputs::new(1, metrics.clone()).open(&Output::Stdout).expect("an output"),
        outbound: Arc::new(Outgoing::new()),
        vm: Vm::of("p"),
        shared: stores.shared("p"),
        queues: stores.queues(),
        workers: 1,
    };
    (ENGINE.clone(), artifact, env)
}

/// A request with this field, and this body in hand.
pub(crate) fn exchange(field: (&str, &str), body: &[u8]) -> Exchange {
    let request = http::Request::post("/path?query").header("host", "a").header(field.0, field.1);
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    let client = Arc::new(Client::new(0, "127.0.0.1:1".parse().expect("an address"), None));
    let mut exchange = Exchange::new(State::new(parts, client, "r".into(), Arc::new(()), Instant::now()));
    exchange.body = Bytes::copy_from_slice(body);
    exchange.message = Body::full(exchange.body.clone());
    exchange
}

/// Calls these phases; what waits is given up.
pub(crate) fn call(filter: &impl Filter, exchange: &mut Exchange, phases: &[Phase]) {
    let _entered = RUNTIME.enter();
    for &phase in phases {
        exchange.phase = phase;
        if phase == Phase::ResponseHeaders {
            exchange.request_open = false;
            exchange.response_open = true;
            let response = http::Response::builder().header("x-name", "value").body(()).expect("a response");
            exchange.begin_response(response.into_parts().0);
            exchange.message = Body::full("a body");
        }
        let call = std::pin::pin!(filter.call(phase, exchange));
        if call.poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            return;
        }
    }
}
