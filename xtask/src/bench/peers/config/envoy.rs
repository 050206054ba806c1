//! Envoy, with its V8 runtime for proxy-wasm filters.

use std::process::Command;

use anyhow::{Result, bail};

use super::{Place, when};
use crate::bench::peers::subject::Filters;

const TYPE: &str = "\"@type\": type.googleapis.com/envoy.extensions";

pub(super) fn command(place: &Place<'_>, filters: Filters) -> Result<Command> {
    let Filters::Bench(count) = filters else { bail!("Envoy has none of gofe's standard plugins") };
    let Place { port, upstream, workers, .. } = place;
    let chain: String = (0..count).map(|number| wasm(place, number)).collect();
    let tls = when(place.protocol.tls, || tls(place));
    let text = format!(
        "static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          {TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          codec_type: AUTO
          generate_request_id: false
          route_config:
            virtual_hosts:
            - {{ name: all, domains: ['*'], routes: [{{ match: {{ prefix: / }}, route: {{ cluster: up }} }}] }}
          http_filters:
{chain}          - name: envoy.filters.http.router
            typed_config: {{ {TYPE}.filters.http.router.v3.Router, suppress_envoy_headers: true }}
{tls}  clusters:
  - name: up
    type: STATIC
    connect_timeout: 5s
    circuit_breakers: {{ thresholds: [{{ max_connections: 65536, max_pending_requests: 65536, max_requests: 65536 }}] }}
    load_assignment:
      cluster_name: up
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {upstream} }} }} }}
"
    );
    let mut command = place.wheel("envoy");
    command.arg("-c").arg(place.write("envoy.yaml", &text)?);
    command.args(["--concurrency", &workers.to_string(), "-l", "error", "--disable-hot-restart"]);
    Ok(command)
}

fn wasm(place: &Place<'_>, number: usize) -> String {
    let file = place.parts.proxy_wasm_filter.display();
    format!(
        "          - name: envoy.filters.http.wasm
            typed_config:
              {TYPE}.filters.http.wasm.v3.Wasm
              config:
                name: filter{number}
                vm_config: {{ vm_id: v, runtime: envoy.wasm.runtime.v8, code: {{ local: {{ filename: {file} }} }} }}
"
    )
}

fn tls(place: &Place<'_>) -> String {
    let (certificate, key) = (place.parts.certificate.display(), place.parts.key.display());
    format!(
        "      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          {TYPE}.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_params: {{ tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3,
              ecdh_curves: [X25519MLKEM768, X25519] }}
            tls_certificates:
            - {{ certificate_chain: {{ filename: {certificate} }}, private_key: {{ filename: {key} }} }}
"
    )
}
