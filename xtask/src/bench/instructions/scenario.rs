//! What is counted: requests through chains of plugins.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The files of the plugins that are not standard ones.
pub(super) struct Modules {
    /// Does one kind of work.
    pub(super) work: PathBuf,
    /// The filter that Envoy runs too.
    pub(super) proxy_wasm: PathBuf,
    /// The filter that Traefik runs too.
    pub(super) http_wasm: PathBuf,
}

/// One figure.
pub(super) struct Scenario {
    /// Its name in the report and in the baseline.
    pub(super) name: &'static str,
    /// The scenario whose cost is taken off, so that the figure is what the plugin costs.
    pub(super) over: Option<&'static str>,
    /// How often the work is done in one request: the figure is for one time.
    pub(super) share: u64,
    /// The plugins of the chain and what the configuration says of each. `WORK`, `PROXY-WASM` and `HTTP-WASM` stand for
    /// the files of [`Modules`].
    pub(super) plugins: Vec<(&'static str, String)>,
    /// The bytes of the request's body.
    pub(super) body: usize,
    /// Whether everything is on that guards an upstream.
    pub(super) governed: bool,
}

/// Proxied requests as they are.
pub(super) const PLAIN: &str = "request, no plugin";
const NOOP: &str = "request, one plugin that does nothing";
const BODY: &str = "request with 16 KiB of body, no plugin";
const CHUNK: usize = 16 << 10;
/// How often a kind of work is done in one call.
const TIMES: u64 = 10;

/// Every scenario, in the order of the report.
pub(super) fn scenarios() -> Vec<Scenario> {
    let four = STANDARD.map(|(name, config)| (name, config.to_owned())).to_vec();
    let whole = |name, plugins| Scenario { name, over: None, share: 1, plugins, body: 0, governed: false };
    let mut all = vec![
        whole(PLAIN, vec![]),
        whole(NOOP, vec![work("nothing", 1, "")]),
        whole("request, four standard plugins", four),
        Scenario { body: CHUNK, ..whole(BODY, vec![]) },
        Scenario { governed: true, ..whole("request, no plugin, all that guards an upstream", vec![]) },
    ];
    let over = |other, name, plugin| Scenario { over: Some(other), ..whole(name, vec![plugin]) };
    all.push(over(PLAIN, "call of a plugin that does nothing", work("nothing", 1, "")));
    all.push(over(NOOP, "new instance for a request (`instance: fresh`)", work("nothing", 1, "instance: fresh, ")));
    all.push(Scenario { body: CHUNK, ..over(BODY, "call with 16 KiB of body", work("body-chunk", 1, "")) });
    for (name, kind) in KINDS {
        all.push(Scenario { share: TIMES, ..over(NOOP, name, work(kind, TIMES, "")) });
    }
    for ((plugin, config), name) in STANDARD.into_iter().zip(STANDARD_NAMES) {
        all.push(over(PLAIN, name, (plugin, config.to_owned())));
    }
    for ([one, each], source) in FILTERS {
        let names = ["a", "b", "c", "d"];
        all.push(over(PLAIN, one, (names[0], source.to_owned())));
        let four = names.map(|name| (name, source.to_owned())).to_vec();
        all.push(Scenario { over: Some(PLAIN), share: 4, ..whole(each, four) });
    }
    all
}

/// The benchmark's filter in the ABIs of other proxies: reads one request header, sets one in each direction.
const FILTERS: [([&str; 2], &str); 2] = [
    (["a proxy-wasm filter", "each of four proxy-wasm filters"], "{ source: 'file:PROXY-WASM' }"),
    (["an http-wasm filter", "each of four http-wasm filters"], "{ source: 'file:HTTP-WASM' }"),
];

/// What a plugin does with the host, by the names in the configuration of the plugin `work`.
const KINDS: [(&str, &str); 9] = [
    ("reading a request header", "header-get"),
    ("setting a request header", "header-set"),
    ("setting a response header", "response-header-set"),
    ("reading an attribute", "attribute-get"),
    ("setting an attribute", "attribute-set"),
    ("reading a key-value pair", "key-value-get"),
    ("writing a key-value pair", "key-value-set"),
    ("taking from a token bucket", "token-bucket"),
    ("writing a line of the log", "log-line"),
];

/// The four of `benches/four-plugins.yaml`.
const STANDARD: [(&str, &str); 4] = [
    ("access-log", "{ source: 'std:access-log', allow: { output: 'file:access.log' } }"),
    ("api-key", "{ source: 'std:api-key', config: { keys: { secret: alice } } }"),
    ("rate-limit", "{ source: 'std:rate-limit', config: { key: client-ip, rate: 1000000/s, burst: 1000000 } }"),
    (
        "router",
        "{ source: 'std:router', config: { rules: [{ name: canary, when: { header: x-canary, is: always }, \
         upstream: canary }] } }",
    ),
];
const STANDARD_NAMES: [&str; 4] =
    ["plugin access-log, all phases", "plugin api-key", "plugin rate-limit, all phases", "plugin router"];

fn work(kind: &str, times: u64, more: &str) -> (&'static str, String) {
    let allow = if kind.starts_with("key-value") { "allow: { key-value: true }, " } else { "" };
    ("work", format!("{{ source: 'file:WORK', {allow}{more}config: {{ do: {kind}, times: {times} }} }}"))
}

/// What guards an upstream, with bounds that nothing reaches, for the route and for the upstream. Health checks are not here:
/// they are no part of a request.
const GOVERNANCE: (&str, &str) = (
    ", active-requests: 10000, retry: { attempts: 3, per-try-timeout: 50s, on: [5xx] }",
    ", balance: { policy: peak-ewma }, outlier-detection: { success-rate: true, latency: true }, \
     circuit-breaker: { failure-rate: 50%, slow-call-rate: 90%, slow-call: 50s }, \
     endpoint-circuit-breaker: { failure-rate: 50% }, limits: { connections: 1000, requests: 10000 }, \
     adaptive-concurrency: { minimum: 200 }",
);

/// A configuration with one chain of these plugins.
pub(super) fn configuration(
    plugins: &[(&str, String)],
    governed: bool,
    upstream: SocketAddr,
    modules: &Modules,
) -> String {
    let (route, guards) = if governed { GOVERNANCE } else { ("", "") };
    let entries: String = plugins.iter().map(|(name, entry)| format!("  {name}: {entry}\n")).collect();
    let files = [("WORK", &modules.work), ("PROXY-WASM", &modules.proxy_wasm), ("HTTP-WASM", &modules.http_wasm)];
    let entries = files.iter().fold(entries, |text, (word, file)| text.replace(word, &file.to_string_lossy()));
    let names: Vec<_> = plugins.iter().map(|(name, _)| *name).collect();
    let (plugins, chain) = match plugins.is_empty() {
        true => (String::new(), ""),
        false => (format!("plugins:\n{entries}chains: {{ c: [{}] }}\n", names.join(", ")), "chain: c, "),
    };
    format!(
        "workers: 1\nlog: {{ format: json }}\nlisteners: [{{ address: 127.0.0.1:0 }}]\n{plugins}\
         routes: [{{ {chain}upstream: up{route} }}]\n\
         upstreams: {{ up: {{ endpoints: [{upstream}]{guards} }}, canary: {{ builtin: echo }} }}\n"
    )
}

/// All code that the scenarios load.
pub(super) fn every_plugin() -> Vec<(&'static str, String)> {
    let four = STANDARD.map(|(name, config)| (name, config.to_owned()));
    let filters =
        ["proxy-wasm", "http-wasm"].into_iter().zip(FILTERS).map(|(name, (_, source))| (name, source.to_owned()));
    four.into_iter().chain([work("nothing", 1, "")]).chain(filters).collect()
}
