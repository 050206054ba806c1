//! `std:rate-limit`.

use super::chain;
use crate::harness::{Answer, Gofe, get};

fn limited(config: &str) -> Gofe {
    Gofe::start(&chain("limit", &format!("  limit: {{ source: std:rate-limit, config: {config} }}")))
}

/// How many of so many requests, each on a connection of its own, are let through.
fn passed(gofe: &Gofe, count: usize, headers: &[(&str, &str)]) -> usize {
    (0..count).filter(|_| get(gofe.address, "/", headers).status == 200).count()
}

fn number(answer: &Answer, name: &str) -> u64 {
    answer.header(name).unwrap_or_else(|| panic!("no {name} in {}", answer.head)).parse().unwrap()
}

#[test]
fn the_bucket_is_one_for_both_workers() {
    let gofe = limited("{ rate: 1/h, burst: 7 }");
    assert_eq!(passed(&gofe, 40, &[]), 7);
}

#[test]
fn clients_see_their_quota() {
    let gofe = limited("{ rate: 1/h, burst: 2 }");
    let first = get(gofe.address, "/", &[]);
    assert_eq!((number(&first, "ratelimit-limit"), number(&first, "ratelimit-remaining")), (2, 1));
    assert!(number(&first, "ratelimit-reset") <= 7200, "{}", first.head);
    get(gofe.address, "/", &[]);
    let refused = get(gofe.address, "/", &[]);
    assert_eq!((refused.status, &refused.json()["error"]), (429, &"rate-limited".into()));
    assert_eq!(number(&refused, "ratelimit-remaining"), 0);
    assert!((1..=3600).contains(&number(&refused, "retry-after")), "{}", refused.head);
}

#[test]
fn the_tightest_quota_is_on_whatever_answers() {
    let plugins = "  wide: { source: std:rate-limit, config: { rate: 1/h, burst: 50 } }
  narrow: { source: std:rate-limit, config: { rate: 1/h, burst: 2 } }
  wider: { source: std:rate-limit, config: { rate: 1/h, burst: 60 } }
  key: { source: std:api-key, config: { keys: { k: alice } } }";
    let gofe = Gofe::start(&chain("wide, narrow, wider, key", plugins));
    let passed = get(gofe.address, "/", &[("x-api-key", "k")]);
    assert_eq!(
        (passed.status, number(&passed, "ratelimit-limit"), number(&passed, "ratelimit-remaining")),
        (200, 2, 1)
    );
    let unauthorised = get(gofe.address, "/", &[]);
    assert_eq!((unauthorised.status, number(&unauthorised, "ratelimit-remaining")), (401, 0));
    let refused = get(gofe.address, "/", &[("x-api-key", "k")]);
    assert_eq!(
        (refused.status, number(&refused, "ratelimit-limit"), number(&refused, "ratelimit-remaining")),
        (429, 2, 0)
    );
    let limits = refused.head.to_ascii_lowercase().matches("ratelimit-limit:").count();
    assert_eq!(limits, 1, "{}", refused.head);

    let unreachable = chain("limit", "  limit: { source: std:rate-limit, config: { rate: 1/h, burst: 5 } }");
    let gofe = Gofe::start(&unreachable.replace("demo: { builtin: echo }", "demo: { endpoints: [127.0.0.1:1] }"));
    let failed = get(gofe.address, "/", &[]);
    assert_eq!((failed.status, number(&failed, "ratelimit-remaining")), (502, 4));
}

#[test]
fn a_sliding_window_has_no_burst_and_its_refusals_do_not_count() {
    let gofe = limited("{ rate: 5/d, algorithm: sliding-window }");
    assert_eq!(passed(&gofe, 20, &[]), 5);
    let refused = get(gofe.address, "/", &[]);
    assert_eq!((refused.status, number(&refused, "ratelimit-limit")), (429, 5));
}

#[test]
fn each_value_of_a_header_has_a_limit_of_its_own() {
    let gofe = limited("{ rate: 1/h, burst: 2, key: 'header:x-app', missing-key: reject }");
    assert_eq!(passed(&gofe, 5, &[("x-app", "a")]), 2);
    assert_eq!(passed(&gofe, 5, &[("x-app", &"b".repeat(5000))]), 2);
    assert_eq!(get(gofe.address, "/", &[]).status, 400);
}

#[test]
fn each_consumer_has_a_limit_of_its_own() {
    let plugins = "  key: { source: std:api-key, config: { keys: { k1: alice, k2: alice, k3: bob } } }
  limit: { source: std:rate-limit, config: { rate: 1/h, burst: 3, key: 'attribute:api-key.consumer' } }";
    let gofe = Gofe::start(&chain("key, limit", plugins));
    assert_eq!(passed(&gofe, 2, &[("x-api-key", "k1")]), 2);
    assert_eq!(passed(&gofe, 5, &[("x-api-key", "k2")]), 1);
    assert_eq!(passed(&gofe, 5, &[("x-api-key", "k3")]), 3);
}

#[test]
fn a_reload_forgets_no_request() {
    let yaml = chain("limit", "  limit: { source: std:rate-limit, config: { rate: 1/h, burst: 4 } }");
    let gofe = Gofe::start(&yaml);
    assert_eq!(passed(&gofe, 3, &[]), 3);
    gofe.write(&yaml.replace("burst: 4", "burst: 4, status: 430"));
    gofe.logged("a configuration was put into service");
    assert_eq!(passed(&gofe, 5, &[]), 1);
    assert_eq!(get(gofe.address, "/", &[]).status, 430);
}

#[test]
fn in_shadow_nothing_is_refused_and_a_metric_counts() {
    let plugins = "  limit:
    source: std:rate-limit
    allow: { metrics: true }
    config: { rate: 1/h, burst: 1, shadow: true }";
    let gofe = Gofe::start(&chain("limit", plugins));
    assert_eq!(passed(&gofe, 4, &[]), 4);
    let metrics = get(gofe.admin, "/metrics", &[("host", "localhost")]).body;
    let line = metrics.lines().find(|line| line.starts_with("gofe_plugin_rate_limited_total{")).expect(&metrics);
    assert!(line.contains("mode=\"shadow\"") && line.ends_with(" 3"), "{line}");
}
