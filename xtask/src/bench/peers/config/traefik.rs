//! Traefik, with wazero for http-wasm filters.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Place, when};
use crate::bench::peers::subject::Filters;

pub(super) fn command(place: &Place<'_>, filters: Filters) -> Result<Command> {
    let wasm = match filters {
        Filters::Bench(0) => false,
        Filters::Bench(1) => true,
        _ => bail!("Traefik is measured with one filter at most"),
    };
    if wasm {
        plugin(place)?;
    }
    let Place { port, upstream, parts, .. } = place;
    let middleware = when(wasm, || ", middlewares: [filter]".into());
    let router_tls = when(place.protocol.tls, || ", tls: {}".into());
    let definition = when(wasm, || "  middlewares: { filter: { plugin: { filter: {} } } }\n".into());
    let certificate = when(place.protocol.tls, || {
        let (certificate, key) = (parts.certificate.display(), parts.key.display());
        format!(
            "tls:\n  certificates: [{{ certFile: {certificate}, keyFile: {key} }}]\n  \
             options: {{ default: {{ minVersion: VersionTLS13 }} }}\n"
        )
    });
    let dynamic = format!(
        "http:\n  \
           routers: {{ all: {{ rule: 'PathPrefix(`/`)', service: up, entryPoints: [in]{middleware}{router_tls} }} }}\n\
         {definition}  services: {{ up: {{ loadBalancer: {{ servers: [{{ url: 'http://127.0.0.1:{upstream}' }}] }} }} }}\n\
         {certificate}"
    );
    let file = place.write("dynamic.yml", &dynamic)?;
    let local = when(wasm, || "experimental: { localPlugins: { filter: { moduleName: filter } } }\n".into());
    let fixed = format!(
        "entryPoints: {{ in: {{ address: '127.0.0.1:{port}' }} }}\n\
         providers: {{ file: {{ filename: {} }} }}\n\
         log: {{ level: ERROR }}\n\
         global: {{ checkNewVersion: false, sendAnonymousUsage: false }}\n{local}",
        file.display()
    );
    let file = place.write("static.yml", &fixed)?;
    let mut command = place.wheel("traefik");
    command.arg(format!("--configFile={}", file.display())).current_dir(&place.folder);
    Ok(command)
}

/// The module where Traefik looks for it, below its working folder.
fn plugin(place: &Place<'_>) -> Result<()> {
    let source = place.folder.join("plugins-local/src/filter");
    fs::create_dir_all(&source)?;
    let module = &place.parts.http_wasm_filter;
    fs::copy(module, source.join("plugin.wasm")).with_context(|| format!("cannot copy {}", module.display()))?;
    let manifest =
        "displayName: filter\ntype: middleware\nruntime: wasm\nimport: filter\nsummary: a filter\ntestData: {}\n";
    fs::write(source.join(".traefik.yml"), manifest)?;
    Ok(())
}
