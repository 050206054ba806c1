//! The standard plugins, each through YAML, in a gofe that runs.

mod access_log;
mod api_key;
mod jwt;
mod rate_limit;
mod router;
mod tokens;

/// A configuration whose only route has these plugins (an indented block below `plugins:`), in this chain, in front of
/// two echoing upstreams, `demo` and `canary`. More top-level keys may follow it.
fn chain(names: &str, plugins: &str) -> String {
    format!(
        "chains: {{ all: [{names}] }}\n\
         routes: [{{ name: all, chain: all, upstream: demo }}]\n\
         upstreams:\n  demo: {{ builtin: echo }}\n  canary: {{ builtin: echo }}\n\
         plugins:\n{plugins}\n"
    )
}
