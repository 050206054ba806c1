//! Calls of plugins on an instance from the pool.

use divan::{Bencher, black_box};
use gofe::chain::Phase;

use crate::setup::{Setup, WithPlugin, work};

/// One call that does one kind of work once: `nothing` is what a call itself costs.
#[divan::bench(sample_size = 100, args = [
    "nothing", "header-get", "header-set", "response-header-set", "attribute-get", "attribute-set", "key-value-get",
    "key-value-set", "token-bucket", "body-chunk", "log-line",
])]
fn kind(bencher: Bencher<'_, '_>, kind: &str) {
    let phase = match kind {
        "response-header-set" => Phase::ResponseHeaders,
        "body-chunk" => Phase::RequestBody,
        _ => Phase::RequestHeaders,
    };
    let plugin = Setup::new().plugin(&work(kind));
    let _entered = plugin.enter();
    let mut exchange = plugin.exchange(phase);
    bencher.bench_local(|| plugin.call(phase, black_box(&mut exchange)));
}

/// A phase of a standard plugin, by the phase's name behind the plugin's.
#[divan::bench(sample_size = 50, args = [
    "access-log complete", "api-key request-headers", "rate-limit request-headers", "rate-limit response-headers",
    "router request-headers", "router response-headers",
])]
fn standard(bencher: Bencher<'_, '_>, what: &str) {
    let (name, phase) = what.split_once(' ').expect("a plugin and a phase");
    let phase = Phase::ALL.into_iter().find(|known| known.name() == phase).expect("a phase");
    let plugin = Setup::new().plugin(&entry(name, phase));
    let _entered = plugin.enter();
    each(bencher, &plugin, phase);
}

/// Calls a phase, each time of another request: what a plugin did to one must not change the next call.
fn each(bencher: Bencher<'_, '_>, plugin: &WithPlugin, phase: Phase) {
    bencher.with_inputs(|| plugin.exchange(phase)).bench_local_values(|mut exchange| {
        plugin.call(phase, black_box(&mut exchange));
        exchange
    });
}

/// The plugins as `benches/four-plugins.yaml` has them, save that only a sticky router looks at responses.
fn entry(name: &str, phase: Phase) -> String {
    let rest = match (name, phase) {
        ("access-log", _) => "allow: { output: 'file:access.log' }",
        ("api-key", _) => "config: { keys: { secret: alice } }",
        ("rate-limit", _) => "config: { key: client-ip, rate: 1000000/s, burst: 1000000 }",
        (_, Phase::ResponseHeaders) => {
            "config: { rules: [{ split: [{ weight: 1, name: a }, { weight: 1, name: b }], sticky: { cookie: s } }] }"
        }
        _ => "config: { rules: [{ when: { header: x-canary, is: always }, upstream: u }] }",
    };
    format!("{{ source: 'std:{name}', {rest} }}")
}
