//! gofe.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Place, when};
use crate::bench::peers::subject::Filters;

/// Those of the quickstart. The limit is so high that none is refused.
const STANDARD: &str = "\
plugins:
  access-log: { source: std:access-log, allow: { output: file:access.log } }
  api-key: { source: std:api-key, config: { keys: { secret: alice } } }
  rate-limit: { source: std:rate-limit, config: { key: client-ip, rate: 1000000/s, burst: 1000000 } }
  router:
    source: std:router
    config: { rules: [{ name: canary, when: { header: x-canary, is: always }, upstream: canary }] }
chains: { all: [access-log, api-key, rate-limit, router] }
";

pub(super) fn command(place: &Place<'_>, filters: Filters) -> Result<Command> {
    let Place { port, upstream, workers, parts, .. } = place;
    let tls = when(place.protocol.tls, || {
        let (certificate, key) = (parts.certificate.display(), parts.key.display());
        format!(", tls: {{ certificates: [{{ certificate: file:{certificate}, private-key: file:{key} }}] }}")
    });
    let plugins = match filters {
        Filters::Standard => STANDARD.to_owned(),
        Filters::Bench(0) => String::new(),
        Filters::Bench(count) => filter(&place.parts.gofe_filter, count),
        Filters::HttpWasm => filter(&place.parts.http_wasm_filter, 1),
        Filters::ProxyWasm(count) => filter(&place.parts.proxy_wasm_filter, count),
    };
    let chain = when(!plugins.is_empty(), || "chain: all, ".into());
    let canary = when(filters == Filters::Standard, || ", canary: { builtin: echo }".into());
    // All connections of the load come from one address.
    let text = format!(
        "workers: {workers}\n\
         limits: {{ connections-per-client: 100000 }}\n\
         listeners: [{{ address: 127.0.0.1:{port}{tls} }}]\n\
         {plugins}\
         routes: [{{ {chain}upstream: up }}]\n\
         upstreams: {{ up: {{ endpoints: [127.0.0.1:{upstream}] }}{canary} }}\n"
    );
    let mut command = Command::new(&parts.gofe);
    command.arg("run").arg(place.write("gofe.yaml", &text)?);
    Ok(command)
}

/// The benchmark's filter so many times, under as many names.
fn filter(file: &Path, count: usize) -> String {
    let file = file.display();
    let names: Vec<_> = (1..=count).map(|number| format!("filter{number}")).collect();
    let plugins: String = names.iter().map(|name| format!("  {name}: {{ source: file:{file} }}\n")).collect();
    format!("plugins:\n{plugins}chains: {{ all: [{}] }}\n", names.join(", "))
}
