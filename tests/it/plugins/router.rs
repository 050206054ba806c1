//! `std:router`.

use std::collections::BTreeSet;

use super::chain;
use crate::harness::{Gofe, Upstream, get};

fn routed(rules: &str) -> Gofe {
    let rules: String = rules.lines().map(|line| format!("        {line}\n")).collect();
    Gofe::start(&chain("router", &format!("  router:\n    source: std:router\n    config:\n      rules:\n{rules}")))
}

fn upstream(gofe: &Gofe, path: &str, headers: &[(&str, &str)]) -> String {
    get(gofe.address, path, headers).json()["upstream"].as_str().unwrap().to_owned()
}

#[test]
fn headers_and_cookies_change_the_upstream() {
    let gofe = routed(
        "- { when: { header: x-canary, is: 'yes' }, upstream: canary }
- { when: [{ cookie: beta, in: [a, b] }, { path-prefix: /api/ }], upstream: canary }",
    );
    assert_eq!(upstream(&gofe, "/", &[]), "demo");
    assert_eq!(upstream(&gofe, "/", &[("x-canary", "yes")]), "canary");
    assert_eq!(upstream(&gofe, "/", &[("x-canary", "no")]), "demo");
    assert_eq!(upstream(&gofe, "/api/x", &[("cookie", "z=1; beta=b")]), "canary");
    assert_eq!(upstream(&gofe, "/api/x", &[("cookie", "z=1; beta=c")]), "demo");
    assert_eq!(upstream(&gofe, "/x", &[("cookie", "beta=b")]), "demo");
}

#[test]
fn a_split_by_a_header_gives_each_value_one_target() {
    let gofe = routed(
        "- split: [{ weight: 50, upstream: canary }, { weight: 50, upstream: demo }]
  by: header:x-user",
    );
    let all = |_| (0..24).map(|user| upstream(&gofe, "/", &[("x-user", &format!("user-{user}"))])).collect::<Vec<_>>();
    let [first, second] = [0, 1].map(all);
    assert_eq!(first, second);
    assert_eq!(first.into_iter().collect::<BTreeSet<_>>().len(), 2);
}

#[test]
fn a_weight_of_nothing_gets_nothing() {
    let gofe = routed("- split: [{ weight: 0, upstream: canary }, { weight: 1, upstream: demo }]");
    assert!((0..20).all(|_| upstream(&gofe, "/", &[]) == "demo"));
}

#[test]
fn a_sticky_client_stays_where_it_is() {
    let gofe = routed(
        "- split: [{ weight: 1, upstream: canary }, { weight: 1, upstream: demo }]
  sticky: { cookie: variant, max-age: 7d }",
    );
    let first = get(gofe.address, "/", &[]);
    let target = first.json()["upstream"].as_str().unwrap().to_owned();
    let cookie = first.header("set-cookie").expect("a cookie").to_owned();
    assert!(cookie.starts_with(&format!("variant={target};")), "{cookie}");
    assert!(cookie.contains("HttpOnly") && cookie.contains("Max-Age=604800"), "{cookie}");
    for target in ["canary", "demo"] {
        let cookie = format!("variant={target}");
        assert!((0..10).all(|_| upstream(&gofe, "/", &[("cookie", &cookie)]) == target));
    }
}

#[test]
fn a_subset_is_the_endpoints_with_its_labels() {
    let (old, new) = (Upstream::text("v1"), Upstream::text("v2"));
    let yaml = format!(
        "plugins:
  router:
    source: std:router
    config:
      rules:
        - {{ when: {{ header: x-version, is: v2 }}, subset: {{ version: v2 }} }}
        - {{ when: {{ header: x-version, is: v3 }}, subset: {{ version: v3 }} }}
        - subset: {{ version: v1 }}
chains: {{ all: [router] }}
routes: [{{ chain: all, upstream: users }}]
upstreams:
  users:
    endpoints:
      - {{ address: '{}', labels: {{ version: v1 }} }}
      - {{ address: '{}', labels: {{ version: v2 }} }}
",
        old.address, new.address
    );
    let gofe = Gofe::start(&yaml);
    for _ in 0..6 {
        assert_eq!(get(gofe.address, "/", &[]).body, "v1");
        assert_eq!(get(gofe.address, "/", &[("x-version", "v2")]).body, "v2");
    }
    assert_eq!(get(gofe.address, "/", &[("x-version", "v3")]).status, 500);
}

#[test]
fn paths_are_rewritten_and_headers_set() {
    let gofe = routed(
        "- { rewrite: { prefix: /api, to: /v2 }, set-headers: { x-from: edge }, continue: true }
- { when: { path-prefix: /u/ }, rewrite: { prefix: /u, to: '/users/{rest}/profile' } }",
    );
    let api = get(gofe.address, "/api/users?id=7", &[("x-from", "client")]).json();
    assert_eq!((&api["path"], &api["headers"]["x-from"]), (&"/v2/users?id=7".into(), &"edge".into()));
    assert_eq!(get(gofe.address, "/apis", &[]).json()["path"], "/apis");
    assert_eq!(get(gofe.address, "/u/alice?a=b", &[]).json()["path"], "/users/alice/profile?a=b");
}
