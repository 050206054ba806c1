//! The admin API of a gofe that runs.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{Answer, Gofe, get, request};

fn ask(gofe: &Gofe, method: &str, path: &str) -> Answer {
    request(gofe.admin, method, path, &[("host", "localhost")], "")
}

/// A header that carries this token.
fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

const YAML: &str = "plugins:
  key: { source: std:api-key, config: { keys: { 'the-clients-key': alice } } }
  limit: { source: std:rate-limit, config: { rate: 100/s } }
chains: { api: [key, limit] }
routes:
  - { name: api, match: { path: /api/** }, chain: api, upstream: demo }
  - { name: old, match: { path: /old }, respond: { body: first } }
upstreams:
  demo: { builtin: echo }
  users: { endpoints: [{ address: '127.0.0.1:1', labels: { version: v2 } }], balance: least-request }
";

#[test]
fn probes_say_that_it_lives_and_serves() {
    let gofe = Gofe::start(YAML);
    let health = ask(&gofe, "GET", "/healthz");
    assert_eq!((health.status, health.body.trim()), (200, "ok"));
    assert_eq!(ask(&gofe, "GET", "/readyz").status, 200);
    let unknown = ask(&gofe, "GET", "/nothing");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("POST /rollback"), "{}", unknown.body);
    let wrong = ask(&gofe, "GET", "/reload");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
}

#[test]
fn a_web_page_in_the_operators_browser_reaches_nothing() {
    let gofe = Gofe::start(YAML);
    assert_eq!(request(gofe.admin, "GET", "/config", &[("host", "evil.example")], "").status, 403);
    let foreign = [("host", "localhost"), ("origin", "http://evil.example")];
    assert_eq!(request(gofe.admin, "POST", "/reload", &foreign, "").status, 403);
}

#[test]
fn the_configuration_is_shown_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "the-secrets-value\n").unwrap();
    let gofe = Gofe::start_in(folder, &format!("{YAML}secrets: {{ a: {{ file: key }} }}\n"));
    get(gofe.address, "/api/x", &[("x-api-key", "the-clients-key")]);
    let config = ask(&gofe, "GET", "/config").json();
    assert_eq!(config["generation"], 1);
    assert!(config["yaml"].as_str().unwrap().contains("std:rate-limit"), "{config}");
    for path in ["/config", "/plugins", "/upstreams", "/history", "/metrics"] {
        let body = ask(&gofe, "GET", path).body;
        for secret in ["the-clients-key", "the-secrets-value"] {
            assert!(!body.contains(secret), "{path} shows {secret}:\n{body}");
        }
    }
    assert!(gofe.log().iter().all(|line| !line.contains("the-clients-key")));
}

#[test]
fn plugins_show_what_they_are_and_what_they_cost() {
    let gofe = Gofe::start(YAML);
    get(gofe.address, "/api/x", &[("x-api-key", "the-clients-key")]);
    get(gofe.address, "/api/x", &[]);
    let plugins = ask(&gofe, "GET", "/plugins").json();
    let [key, limit] = plugins.as_array().unwrap().as_slice() else { panic!("{plugins}") };
    assert_eq!((&key["name"], &key["source"]), (&"key".into(), &"std:api-key".into()));
    assert_eq!((&key["version"], &key["state"]), (&1.into(), &"active".into()));
    assert_eq!(key["digest"].as_str().unwrap().len(), 64);
    assert_eq!(key["calls"]["request-headers"], 2, "{key}");
    assert_eq!(limit["calls"]["request-headers"], 1, "{limit}");
    assert!(key["seconds"].as_f64().unwrap() > 0.0 && key["memory_bytes"].as_u64().unwrap() > 0, "{key}");
}

#[test]
fn upstreams_show_their_endpoints() {
    let gofe = Gofe::start(YAML);
    let upstreams = ask(&gofe, "GET", "/upstreams").json();
    let users = upstreams.as_array().unwrap().iter().find(|upstream| upstream["name"] == "users").unwrap();
    assert_eq!(users["balance"], "least-request");
    assert_eq!(users["endpoints"][0]["address"], "127.0.0.1:1");
    assert_eq!(users["endpoints"][0]["labels"]["version"], "v2");
    assert_eq!(users["endpoints"][0]["active"], 0);
}

#[test]
fn mistakes_are_refused_and_what_runs_stays() {
    let gofe = Gofe::start(YAML);
    gofe.write(&YAML.replace("body: first", "bdy: second"));
    let refused = ask(&gofe, "POST", "/reload");
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("unknown key `bdy`") && refused.body.contains("gofe.yaml:"), "{}", refused.body);
    assert_eq!(get(gofe.address, "/old", &[]).body, "first");
    let history = ask(&gofe, "GET", "/history").json();
    let newest = &history[0];
    assert!(newest["error"].as_str().unwrap().contains("`bdy`") && newest["generation"].is_null(), "{history}");
    assert_eq!(ask(&gofe, "GET", "/config").json()["generation"], 1);
    let metrics = ask(&gofe, "GET", "/metrics").body;
    let failed = metrics.lines().find(|line| line.starts_with("gofe_reloads_total{result=\"failed\"}"));
    assert!(!failed.expect(&metrics).ends_with(" 0"), "{failed:?}");
}

#[test]
fn a_rollback_brings_back_the_configuration_before_or_a_named_one() {
    let gofe = Gofe::start(YAML);
    assert_eq!(ask(&gofe, "POST", "/rollback").status, 404);
    gofe.write(&YAML.replace("body: first", "body: second"));
    gofe.logged("a configuration was put into service");
    assert_eq!(get(gofe.address, "/old", &[]).body, "second");
    let back = ask(&gofe, "POST", "/rollback");
    assert_eq!((back.status, &back.json()["generation"]), (200, &3.into()), "{}", back.body);
    assert_eq!(get(gofe.address, "/old", &[]).body, "first");
    assert_eq!(ask(&gofe, "POST", "/rollback?generation=2").status, 200);
    assert_eq!(get(gofe.address, "/old", &[]).body, "second");
    assert_eq!(ask(&gofe, "POST", "/rollback?generation=77").status, 404);
    assert_eq!(ask(&gofe, "POST", "/rollback?generation=last").status, 400);
    let history = ask(&gofe, "GET", "/history").json();
    let generations: Vec<_> = history.as_array().unwrap().iter().map(|record| record["generation"].clone()).collect();
    assert_eq!(generations, [4, 3, 2, 1].map(Value::from));
    assert_eq!(history[0]["trigger"], "rollback");
    assert_eq!(history[0]["serving"], true);
}

#[test]
fn the_token_is_asked_for_and_a_reload_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "old-token\n").unwrap();
    let yaml = format!("admin: {{ address: '127.0.0.1:0', token: {{ file: token }} }}\n{YAML}");
    let gofe = Gofe::start_in(folder, &yaml);
    let with = |method: &str, path: &str, token: &str| {
        request(gofe.admin, method, path, &[("host", "edge.internal"), ("authorization", &bearer(token))], "").status
    };
    assert_eq!(request(gofe.admin, "GET", "/healthz", &[], "").status, 200);
    let without = ask(&gofe, "GET", "/config");
    assert_eq!((without.status, without.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(with("GET", "/config", "wrong"), 401);
    assert_eq!(with("GET", "/config", "old-token"), 200);
    std::fs::write(gofe.folder().join("token"), "new-token\n").unwrap();
    assert_eq!(with("POST", "/reload", "old-token"), 200);
    assert_eq!(with("GET", "/config", "old-token"), 401);
    assert_eq!(with("GET", "/config", "new-token"), 200);
}

/// The names of the families that docs/operations.md lists.
fn documented() -> BTreeSet<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned())
        .filter(|name| name.starts_with("gofe_") || name.starts_with("process_"))
        .collect()
}

/// Checks that a line is `name{label="value",…} number`, and returns the name.
fn sample(line: &str) -> &str {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    assert!(value == "+Inf" || value.parse::<f64>().is_ok(), "no number: {line}");
    let (name, labels) = series.split_once('{').map_or((series, None), |(name, labels)| (name, Some(labels)));
    assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "no name: {line}");
    if let Some(labels) = labels {
        let labels = labels.strip_suffix("\"}").unwrap_or_else(|| panic!("labels do not end: {line}"));
        assert!(labels.split("\",").all(|label| label.contains("=\"")), "no label: {line}");
    }
    name
}

#[test]
fn the_documented_metrics_are_there_and_count() {
    let gofe = Gofe::start(YAML);
    for key in ["the-clients-key", "another"] {
        get(gofe.address, "/api/x", &[("x-api-key", key)]);
    }
    let answer = ask(&gofe, "GET", "/metrics");
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"), "{}", answer.head);
    let types: BTreeSet<_> =
        answer.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let names: BTreeSet<_> = types.iter().map(|(name, _)| (*name).to_owned()).collect();
    let documented = documented();
    assert!(documented.len() > 15, "{documented:?}");
    let missing: Vec<_> = documented.difference(&names).collect();
    assert!(missing.is_empty(), "{missing:?} missing from\n{}", answer.body);
    let unknown: Vec<_> = names.difference(&documented).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not documented");
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let name = sample(line);
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        assert!(names.contains(name) || family.is_some_and(|family| names.contains(family)), "{line}");
    }
    for line in [
        "gofe_requests_total{route=\"api\",code=\"2xx\"} 1",
        "gofe_requests_total{route=\"api\",code=\"4xx\"} 1",
        "gofe_plugin_calls_total{plugin=\"key\",phase=\"request-headers\"} 2",
        "gofe_upstream_requests_total{upstream=\"demo\",outcome=\"2xx\"} 1",
        "gofe_config_generation 1",
    ] {
        assert!(answer.body.lines().any(|there| there == line), "no {line} in\n{}", answer.body);
    }
    let open = request(
        gofe.admin,
        "GET",
        "/metrics",
        &[("host", "localhost"), ("accept", "application/openmetrics-text")],
        "",
    );
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text"), "{}", open.head);
    assert!(open.body.ends_with("# EOF\n"));
}
