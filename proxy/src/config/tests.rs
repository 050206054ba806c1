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

/// Each `x.yaml` in `tests/config` beside its `x.err`: all that gofe says about it, nothing where it is right.
/// `UPDATE_GOLDEN=1 cargo test -p gofe golden` writes them anew.
#[test]
fn golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/config");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of golden files") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        count += 1;
        let text = std::fs::read_to_string(&path).expect("a golden file");
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let said = match parse(&name, &text) {
            Ok(loaded) => loaded.warnings.to_string(),
            Err(diagnostics) => diagnostics.to_string(),
        };
        let said = if said.is_empty() { said } else { said + "\n" };
        let expected = path.with_extension("err");
        if update {
            std::fs::write(&expected, &said).expect("a golden file is written");
        } else if std::fs::read_to_string(&expected).ok().as_deref() != Some(&said) {
            wrong.push(format!("{}\n{said}", expected.display()));
        }
    }
    assert!(count >= 25, "only {count} golden files were found");
    assert!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
}
