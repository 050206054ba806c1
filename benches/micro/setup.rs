//! What the benchmarks share: a snapshot with one plugin, requests in hand, and a way to call without a runtime's
//! entry in the figure.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use gofe::chain::{Client, Directory, Exchange, Filter, Phase, Reply, State};
use gofe::net::acme::Acme;
use gofe::snapshot::{Builder, Outgoing, Resources, Snapshot, Step};
use gofe::source::Bundle;
use gofe::store::Stores;
use gofe::telemetry::{Metrics, Outputs};
use gofe::upstream::Supervisor;
use gofe::wasm::Engine;
use tempfile::TempDir;
use tokio::runtime::{EnterGuard, Runtime};

/// What a body phase gets at a time.
const CHUNK: usize = 16 << 10;

/// A configuration in service, as far as its parts go.
pub(crate) struct Setup {
    pub(crate) runtime: Runtime,
    /// Its file and its outputs.
    pub(crate) folder: TempDir,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, folder: tempfile::tempdir().expect("a folder") }
    }

    /// A snapshot with this plugin, from its entry in the configuration.
    pub(crate) fn plugin(self, entry: &str) -> WithPlugin {
        let snapshot = Arc::new(self.snapshot(&resources(None), entry));
        let step = snapshot.plugins["p"].step.clone();
        let client = Arc::new(Client::new(0, "127.0.0.1:4000".parse().expect("an address"), None));
        WithPlugin { setup: self, snapshot, step, client }
    }

    pub(crate) fn snapshot(&self, resources: &Resources, entry: &str) -> Snapshot {
        let bundle = Bundle::read(&self.write(entry)).expect("the configuration is right");
        let built = Builder::build(resources, None, &bundle.loaded, &bundle.code);
        self.runtime.block_on(built).expect("the configuration is right")
    }

    /// Writes the configuration with this plugin.
    pub(crate) fn write(&self, entry: &str) -> PathBuf {
        let file = self.folder.path().join("gofe.yaml");
        let yaml = format!(
            "listeners: [{{ address: 127.0.0.1:0 }}]\nplugins: {{ p: {entry} }}\nchains: {{ c: [p] }}\n\
             routes: [{{ chain: c, upstream: u }}]\nupstreams: {{ u: {{ builtin: echo }} }}\n"
        );
        std::fs::write(&file, yaml).expect("a file");
        file
    }
}

/// What lives as long as the process.
pub(crate) fn resources(cache: Option<PathBuf>) -> Resources {
    let metrics = Metrics::new(1);
    Resources {
        engine: Engine::new().expect("an engine"),
        cache,
        outputs: Outputs::new(1, metrics.clone()),
        acme: Acme::new(metrics.clone()),
        metrics,
        stores: Arc::new(Stores::new()),
        outbound: Arc::new(Outgoing::new()),
        supervisor: Supervisor::new(),
        workers: 1,
    }
}

/// A snapshot with one plugin.
pub(crate) struct WithPlugin {
    setup: Setup,
    snapshot: Arc<Snapshot>,
    step: Arc<Step>,
    client: Arc<Client>,
}

impl WithPlugin {
    /// Within this, calls find their runtime.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.setup.runtime.enter()
    }

    /// A request as it is when the phase begins; the phases of the plugin that come before are over.
    pub(crate) fn exchange(&self, phase: Phase) -> Exchange {
        let directory: Arc<dyn Directory> = self.snapshot.clone();
        let request = request("/api/users?page=2", "api.example.com");
        let mut exchange =
            Exchange::new(State::new(request, self.client.clone(), "r".into(), directory, Instant::now()));
        let interest = self.step.interest();
        for earlier in Phase::ALL.into_iter().take_while(|earlier| *earlier != phase) {
            prepare(&mut exchange, earlier);
            if interest.phases.has(earlier) {
                self.call(earlier, &mut exchange);
            }
        }
        prepare(&mut exchange, phase);
        exchange
    }

    /// Calls a phase, in [`Self::enter`].
    pub(crate) fn call(&self, phase: Phase, exchange: &mut Exchange) {
        let outcome = ready(self.step.call(phase, exchange));
        assert!(matches!(outcome, gofe::chain::Outcome::Continue), "{phase}: {outcome:?}");
    }
}

fn prepare(exchange: &mut Exchange, phase: Phase) {
    exchange.phase = phase;
    if matches!(phase, Phase::RequestBody | Phase::ResponseBody) {
        exchange.body = Bytes::from_static(&[b'x'; CHUNK]);
    }
    if phase == Phase::ResponseHeaders {
        exchange.request_open = false;
        exchange.response_open = true;
        let reply =
            Reply { status: http::StatusCode::OK, headers: http::HeaderMap::new(), body: gofe::http::Body::Empty };
        exchange.set_response(reply);
    }
}

pub(crate) fn request(path: &str, host: &str) -> http::request::Parts {
    let request = http::Request::get(path).header("host", host).header("x-api-key", "secret");
    let request = request.header("user-agent", "bench/1.0").header("accept", "*/*");
    request.header("accept-encoding", "gzip, br").body(()).expect("a request").into_parts().0
}

/// The result of a future that waits for nothing: at most it lets others run.
pub(crate) fn ready<R>(future: impl Future<Output = R>) -> R {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
    }
}

/// The module of the plugin that does one kind of work; `cargo xtask bench micro` builds it.
pub(crate) fn work(kind: &str) -> String {
    let file = std::env::var("GOFE_BENCH_WORK").expect("run this by `cargo xtask bench micro`");
    format!("{{ source: 'file:{file}', allow: {{ key-value: true }}, config: {{ do: {kind} }} }}")
}
