//! The quickstart: what the README promises.

use crate::harness::{Gofe, get, post};

fn quickstart() -> Gofe {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/quickstart.yaml");
    let yaml = std::fs::read_to_string(file).unwrap();
    let fixed = |line: &&str| !["listeners:", "  - address:", "admin:"].iter().any(|key| line.starts_with(key));
    Gofe::start(&yaml.lines().filter(fixed).collect::<Vec<_>>().join("\n"))
}

const KEY: (&str, &str) = ("x-api-key", "secret");

#[test]
fn without_a_key_the_answer_is_401() {
    let gofe = quickstart();
    let answer = get(gofe.address, "/api/users", &[]);
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").is_some(), "{}", answer.head);
}

#[test]
fn with_the_key_the_upstream_sees_who_it_is_and_not_the_key() {
    let gofe = quickstart();
    let echo = post(gofe.address, "/api/users?a=1", &[KEY], "hello").json();
    assert_eq!(echo["upstream"], "demo");
    assert_eq!(echo["method"], "POST");
    assert_eq!(echo["path"], "/api/users?a=1");
    assert_eq!(echo["body"], "hello");
    assert_eq!(echo["headers"]["x-consumer"], "alice");
    assert!(echo["headers"].get("x-api-key").is_none(), "{echo}");
}

#[test]
fn past_the_limit_the_answer_is_429() {
    let gofe = quickstart();
    let answers: Vec<_> = (0..30).map(|_| get(gofe.address, "/api/users", &[KEY])).collect();
    assert_eq!(answers[0].status, 200);
    let refused = answers.iter().find(|answer| answer.status == 429).expect("one of thirty is over the limit");
    assert!(refused.header("retry-after").is_some(), "{}", refused.head);
}

#[test]
fn the_canary_header_changes_the_upstream() {
    let gofe = quickstart();
    let echo = get(gofe.address, "/api/users", &[KEY, ("x-canary", "always")]).json();
    assert_eq!(echo["upstream"], "canary");
}

#[test]
fn every_request_is_one_line_of_the_access_log() {
    let mut gofe = quickstart();
    get(gofe.address, "/api/a", &[]);
    get(gofe.address, "/api/b", &[KEY]);
    gofe.signal("TERM");
    assert!(gofe.ended().success());
    let mut lines: Vec<serde_json::Value> =
        gofe.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(|line| line["path"].to_string());
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["path"], &lines[0]["status"]), (&"/api/a".into(), &401.into()));
    assert_eq!((&lines[1]["path"], &lines[1]["status"]), (&"/api/b".into(), &200.into()));
}
