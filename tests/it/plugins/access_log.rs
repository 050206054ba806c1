//! `std:access-log`.

use serde_json::{Value, json};

use super::chain;
use crate::harness::{Gofe, get, post};

/// What gofe wrote to this file of its folder until its end.
fn written(gofe: &mut Gofe, file: &str) -> String {
    gofe.signal("TERM");
    assert!(gofe.ended().success());
    std::fs::read_to_string(gofe.folder().join(file)).unwrap()
}

#[test]
fn a_line_has_the_documented_fields() {
    let mut gofe = Gofe::start(&chain("log", "  log: { source: std:access-log }"));
    post(gofe.address, "/a/b?token=hidden", &[], "12345");
    let text = written(&mut gofe, "stdout");
    assert!(!text.contains("hidden"), "{text}");
    let line: Value = serde_json::from_str(text.trim_end()).unwrap();
    let names: Vec<_> = line.as_object().unwrap().keys().collect();
    let documented = [
        "time",
        "route",
        "client_address",
        "method",
        "authority",
        "path",
        "status",
        "duration_ms",
        "request_bytes",
        "response_bytes",
        "upstream",
        "error",
    ];
    assert_eq!(names, documented);
    assert_eq!((&line["route"], &line["client_address"]), (&json!("all"), &json!("127.0.0.1")));
    assert_eq!((&line["method"], &line["authority"], &line["path"]), (&json!("POST"), &json!("test"), &json!("/a/b")));
    assert_eq!((&line["status"], &line["request_bytes"]), (&json!(200), &json!(5)));
    assert_eq!((&line["upstream"], &line["error"]), (&json!("demo"), &Value::Null));
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0 && line["response_bytes"].as_u64().unwrap() > 50, "{line}");
}

#[test]
fn a_rewritten_path_is_known_as_the_client_wrote_it() {
    let plugins = "  log: { source: std:access-log, config: { template: '$path_with_query $original_path $original_path_with_query' } }
  router: { source: std:router, config: { rules: [{ when: { path-prefix: /old/ }, rewrite: { prefix: /old, to: /new } }] } }";
    let mut gofe = Gofe::start(&chain("log, router", plugins));
    get(gofe.address, "/old/a?b=c", &[]);
    get(gofe.address, "/kept?d", &[]);
    let text = written(&mut gofe, "stdout");
    // Two workers may have served the two, and then their lines come in either order.
    let lines: std::collections::BTreeSet<_> = text.lines().collect();
    assert_eq!(lines, ["/kept?d /kept /kept?d", "/new/a?b=c /old/a /old/a?b=c"].into(), "{text}");
}

#[test]
fn renamed_fields_go_to_a_file() {
    let plugins = "  key: { source: std:api-key, config: { keys: { k: alice } } }
  log:
    source: std:access-log
    allow: { output: 'file:access.log' }
    config:
      fields:
        user: attribute:api-key.consumer
        agent: request_header:user-agent
        type: response_header:content-type
        code: status";
    let mut gofe = Gofe::start(&chain("log, key", plugins));
    get(gofe.address, "/", &[("x-api-key", "k"), ("user-agent", "a \"quoted\" one")]);
    let line: Value = serde_json::from_str(&written(&mut gofe, "access.log")).unwrap();
    let expected = json!({ "user": "alice", "agent": "a \"quoted\" one", "type": "application/json", "code": 200 });
    assert_eq!(line, expected);
    assert_eq!(gofe.stdout(), "");
}

#[test]
fn a_value_cannot_end_its_quotes_in_a_template() {
    let plugins = "  log:
    source: std:access-log
    config: { template: '$client_address \"$method $path_with_query $http_version\" $status $error \"${request_header:user-agent}\" $$' }";
    let mut gofe = Gofe::start(&chain("log", plugins));
    get(gofe.address, "/a?b=c", &[("user-agent", "x\" 500 \\")]);
    let text = written(&mut gofe, "stdout");
    assert_eq!(text, "127.0.0.1 \"GET /a?b=c HTTP/1.1\" 200 - \"x\\x22 500 \\x5C\" $\n");
}

#[test]
fn what_failed_is_logged_whatever_the_sample() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let yaml = format!(
        "plugins: {{ log: {{ source: std:access-log, config: {{ sample: 0, fields: [path, status, error] }} }} }}
chains: {{ all: [log] }}
routes:
  - {{ chain: all, respond: {{ status: 200 }} }}
  - {{ match: {{ path: /gone }}, chain: all, upstream: gone }}
upstreams: {{ gone: {{ endpoints: ['{gone}'] }} }}"
    );
    let mut gofe = Gofe::start(&yaml);
    assert_eq!(get(gofe.address, "/", &[]).status, 200);
    assert_eq!(get(gofe.address, "/gone", &[]).status, 502);
    let text = written(&mut gofe, "stdout");
    let line: Value = serde_json::from_str(text.trim_end()).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!((&line["path"], &line["status"]), (&json!("/gone"), &json!(502)));
    assert!(line["error"].is_string(), "{line}");
}
