use std::time::Duration;

use super::*;

const DESIGN: &str = r"
workers: 2                       # default: one per core
listeners:
  - address: 127.0.0.1:8080
admin: { address: 127.0.0.1:9901 }
plugins:
  access-log: { source: std:access-log }
  api-key:    { source: std:api-key, config: { keys: { secret: alice } } }
  limit:      { source: std:rate-limit, config: { key: client-ip, rate: 100/s, burst: 50 } }
  tenant:     { source: file:plugins/tenant.wasm, on-error: fail-open, limits: { time: 5ms, memory: 16MiB },
                allow: { http: [users.internal:8080] }, config: { header: x-tenant } }
chains:
  api: [access-log, api-key, limit, tenant]
routes:
  - match: { path: /api/** }
    chain: api
    upstream: users
    timeout: 1s
upstreams:
  users: { endpoints: [127.0.0.1:9000], balance: least-request }
";

#[test]
fn the_design_example_is_read() {
    let loaded = parse("conf/gofe.yaml", DESIGN).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(loaded.warnings.to_string(), "");
    let config = loaded.config;
    assert_eq!(config.workers, 2);
    let tenant = &config.plugins["tenant"];
    assert_eq!(tenant.source, PluginSource::File("conf/plugins/tenant.wasm".into()));
    assert_eq!(tenant.limits.time, Duration::from_millis(5));
    assert_eq!(tenant.limits.memory, 16 << 20);
    assert_eq!(config.routes[0].name, "/api/**");
    assert_eq!(config.upstreams["users"].balance, Balance::LeastRequest);
}
