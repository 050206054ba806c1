//! Calls the host functions of proxy-wasm with arbitrary arguments, through a guest that does what the input says.
#![no_main]

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gofe::chain::{Client, Directory, Exchange, Filter, Phase, Retrying, State};
use gofe::config::{Allow, InstanceMode, OnError, Output, PluginLimits, Vm};
use gofe::snapshot::Outgoing;
use gofe::store::Stores;
use gofe::telemetry::{Metrics, Outputs};
use gofe::wasm::{Artifact, Engine, Env, ProxyWasmFilter};
use libfuzzer_sys::fuzz_target;

#[path = "../../proxy/src/wasm/proxy_wasm/tests/script.rs"]
mod script;

struct Empty;

impl Directory for Empty {
    fn has_upstream(&self, _: &str) -> bool {
        false
    }

    fn has_subset(&self, _: Option<&str>, _: &str, _: &[(String, String)]) -> bool {
        false
    }

    fn route_upstream(&self, _: &str) -> Option<Arc<str>> {
        None
    }

    fn retry(&self, _: Option<&str>, _: &str) -> Option<Retrying> {
        None
    }
}

fn filter() -> &'static ProxyWasmFilter {
    static FILTER: OnceLock<ProxyWasmFilter> = OnceLock::new();
    FILTER.get_or_init(|| {
        let engine = Engine::new().unwrap();
        let module = wat::parse_str(script::guest()).unwrap();
        let artifact = Artifact::load(&engine, &module, None, None).unwrap();
        let (metrics, stores) = (Metrics::new(1), Stores::new());
        let env = Env {
            name: "p".into(),
            config: "null".into(),
            limits: PluginLimits { time: Duration::from_millis(500), memory: 1 << 20, body: 1 << 16 },
            instance: InstanceMode::PerCall,
            on_error: OnError::FailClosed,
            allow: Allow { metrics: true, ..Allow::default() },
            secrets: Default::default(),
            upstreams: Arc::new(BTreeSet::new()),
            space: stores.space("p"),
            metrics: metrics.plugin("p"),
            custom: metrics.custom("p"),
            output: Outputs::new(1, metrics.clone()).open(&Output::Stdout).unwrap(),
            outbound: Arc::new(Outgoing::new()),
            vm: Vm::of("p"),
            shared: stores.shared("p"),
            queues: stores.queues(),
            workers: 1,
        };
        ProxyWasmFilter::load(&engine, &artifact, env).unwrap()
    })
}

fuzz_target!(|input: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let (parts, ()) = http::Request::post("/").header("host", "a").body(()).unwrap().into_parts();
    let client = Arc::new(Client::new(0, "127.0.0.1:1".parse().unwrap(), None));
    let mut exchange = Exchange::new(State::new(parts, client, "r".into(), Arc::new(Empty), Instant::now()));
    for phase in [Phase::RequestHeaders, Phase::RequestBody, Phase::Complete] {
        exchange.phase = phase;
        exchange.body = Bytes::copy_from_slice(input);
        exchange.body_end = input.len() % 2 == 0;
        let call = std::pin::pin!(filter().call(phase, &mut exchange));
        // What is paused is given up.
        let _ = call.poll(&mut Context::from_waker(Waker::noop()));
    }
});
