//! What the parts of a request cost: `cargo xtask bench micro`.

use std::sync::Arc;
use std::time::Instant;

use divan::{Bencher, black_box};
use gofe::chain::{Client, Directory, Exchange, Filter, Phase, State};
use gofe::config;
use gofe::route::Table;
use gofe::snapshot::{Builder, Resources, Snapshot};
use gofe::source::Bundle;
use gofe::store::Stores;
use gofe::telemetry::{Metrics, Outputs};
use gofe::upstream::outbound;
use gofe::wasm::Engine;

fn main() {
    divan::main();
}

/// Looks up the last of so many routes.
#[divan::bench(args = [10, 1_000, 10_000])]
fn route_lookup(bencher: Bencher<'_, '_>, count: usize) {
    let routes: String = (0..count).map(|n| format!("  - {{ match: {{ path: /r{n}/** }}, upstream: u }}\n")).collect();
    let yaml =
        format!("listeners: [{{ address: 127.0.0.1:0 }}]\nroutes:\n{routes}upstreams: {{ u: {{ builtin: echo }} }}\n");
    let table = Table::build(&config::parse("bench.yaml", &yaml).expect("the configuration is right").config.routes);
    let parts = request(&format!("/r{}/users/1?a=b", count - 1));
    bencher.bench_local(|| table.find_request(black_box(&parts)));
}

/// One call of a standard plugin in its request phase, on an instance from the pool.
#[divan::bench(args = ["api-key", "rate-limit", "router"])]
fn request_headers(bencher: Bencher<'_, '_>, name: &str) {
    let config = match name {
        "api-key" => "keys: { secret: alice }",
        "rate-limit" => "key: client-ip, rate: 1000000/s, burst: 1000000",
        _ => "rules: [{ name: c, when: { header: x-canary, is: always }, upstream: u }]",
    };
    let yaml = format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\nplugins: {{ p: {{ source: 'std:{name}', config: {{ {config} }} }} }}\n\
         chains: {{ c: [p] }}\nroutes: [{{ chain: c, upstream: u }}]\nupstreams: {{ u: {{ builtin: echo }} }}\n"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let snapshot = Arc::new(runtime.block_on(snapshot(&yaml)));
    let step = snapshot.plugins["p"].step.clone();
    let client = Arc::new(Client::new(0, "127.0.0.1:4000".parse().expect("an address"), None));
    bencher
        .with_inputs(|| {
            let directory: Arc<dyn Directory> = snapshot.clone();
            Exchange::new(State::new(request("/api/users"), client.clone(), "r".into(), directory, Instant::now()))
        })
        .bench_local_values(|mut exchange| {
            runtime.block_on(step.call(Phase::RequestHeaders, &mut exchange));
            exchange
        });
}

fn request(path: &str) -> http::request::Parts {
    let request = http::Request::get(path).header("host", "example.com").header("x-api-key", "secret");
    request.header("user-agent", "bench").body(()).expect("a request").into_parts().0
}

async fn snapshot(yaml: &str) -> Snapshot {
    let folder = std::env::temp_dir().join(format!("gofe-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("bench.yaml");
    std::fs::write(&file, yaml).expect("a file");
    let metrics = Metrics::new(1);
    let resources = Resources {
        engine: Engine::new().expect("an engine"),
        cache: None,
        outputs: Outputs::new(1, metrics.clone()),
        metrics,
        stores: Arc::new(Stores::new()),
        outbound: Arc::new(outbound::Client::new()),
        workers: 1,
    };
    let bundle = Bundle::read(&file).expect("the configuration is right");
    Builder::build(&resources, None, &bundle.loaded, &bundle.code).await.expect("the configuration is right")
}
