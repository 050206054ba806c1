//! What clients, upstreams and operators notice.

use std::collections::BTreeMap;

use super::*;
use mock::{Exchange, Host, Loaded};

fn host() -> Host {
    Host::new().upstream("v1", &[("version", "1")]).upstream("v2", &[("version", "2"), ("zone", "a")])
}

fn load(configuration: &str) -> Loaded<Router> {
    host().load(configuration).unwrap()
}

fn upstream(exchange: &Exchange) -> Option<&str> {
    exchange.upstream_request().unwrap().upstream()
}

fn goes_to_v2(when: &str, request: mock::Request) -> bool {
    let plugin = load(&format!(r#"{{ "rules": [{{ "when": {when}, "upstream": "v2" }}] }}"#));
    upstream(&plugin.send(request)) == Some("v2")
}

fn mistake(configuration: &str) -> (String, String) {
    let errors = host().load::<Router>(configuration).unwrap_err();
    let error = errors.iter().next().unwrap();
    (error.pointer.clone(), error.message.clone())
}

/// How many of 1000 requests went to each target.
fn shares(plugin: &Loaded<Router>, request: impl Fn(usize) -> mock::Request) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for index in 0..1000 {
        let exchange = plugin.send(request(index));
        *shares.entry(exchange.attribute("router.target").unwrap().to_owned()).or_default() += 1;
    }
    shares
}

#[test]
fn requests_are_matched_by_header_cookie_query_attribute_and_path() {
    let get = mock::Request::get;
    for (when, request, expected) in [
        (r#"{ "header": "X-Canary", "is": "yes" }"#, get("/").header("x-canary", "yes"), true),
        (r#"{ "header": "X-Canary", "is": "yes" }"#, get("/").header("x-canary", "no"), false),
        (r#"{ "header": "x-canary" }"#, get("/").header("x-canary", ""), true),
        (r#"{ "header": "x-canary" }"#, get("/"), false),
        (r#"{ "header": "x-canary", "present": false }"#, get("/"), true),
        (r#"{ "header": "user-agent", "prefix": "curl/" }"#, get("/").header("user-agent", "curl/8"), true),
        (r#"{ "cookie": "beta", "is": "1" }"#, get("/").header("cookie", "a=b; beta=1"), true),
        (r#"{ "query": "beta", "is": "a b" }"#, get("/?beta=a%20b"), true),
        (
            r#"{ "attribute": "api-key.consumer", "in": ["al", "bo"] }"#,
            get("/").attribute("api-key.consumer", "bo"),
            true,
        ),
        (r#"{ "claim": "sub", "in": ["al", "bo"] }"#, get("/").attribute("jwt.sub", "carl"), false),
        (r#"{ "path": "/a" }"#, get("/a?b"), true),
        (r#"{ "path-prefix": "/a/" }"#, get("/b/a/"), false),
        (r#"[{ "header": "a" }, { "header": "b" }]"#, get("/").header("a", "1").header("b", "1"), true),
        (r#"[{ "header": "a" }, { "header": "b" }]"#, get("/").header("b", "1"), false),
        ("[]", get("/"), true),
    ] {
        assert_eq!(goes_to_v2(when, request), expected, "{when}");
    }
}

#[test]
fn the_first_matching_rule_is_applied() {
    let plugin = load(
        r#"{ "rules": [
            { "name": "all", "when": { "path-prefix": "/" }, "set-headers": { "x-seen": "1" }, "continue": true },
            { "name": "beta", "when": { "header": "beta" }, "upstream": "v2" },
            { "upstream": "v1" }
        ] }"#,
    );
    let beta = plugin.send(mock::Request::get("/").header("beta", "1"));
    assert_eq!(upstream(&beta), Some("v2"));
    assert_eq!(beta.attribute("router.rule"), Some("beta"));
    assert_eq!(beta.attribute("router.target"), Some("v2"));
    assert_eq!(beta.upstream_request().unwrap().header("x-seen"), Some("1"));
    let other = plugin.send(mock::Request::get("/"));
    assert_eq!(upstream(&other), Some("v1"));
    assert_eq!(other.attribute("router.rule"), Some("2"));
}

#[test]
fn a_request_that_matches_nothing_goes_where_the_route_says() {
    let plugin = load(r#"{ "rules": [{ "when": { "header": "beta" }, "upstream": "v2" }] }"#);
    let exchange = plugin.send(mock::Request::get("/"));
    assert_eq!(upstream(&exchange), None);
    assert_eq!(exchange.attribute("router.rule"), None);
    assert_eq!(plugin.interest.phases, Phases::REQUEST_HEADERS);
}

#[test]
fn a_subset_is_chosen_and_a_missing_one_is_a_failure() {
    let plugin = load(r#"{ "rules": [{ "upstream": "v2", "subset": { "version": "2", "zone": "a" } }] }"#);
    let exchange = plugin.send(mock::Request::get("/"));
    let labels = [("version", "2"), ("zone", "a")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(exchange.upstream_request().unwrap().subset(), labels);

    let plugin = load(r#"{ "rules": [{ "subset": { "version": "3" } }] }"#);
    let failed = plugin.send(mock::Request::get("/"));
    assert!(failed.failure().unwrap().contains("the subset of target `0` was not accepted"));
}

#[test]
fn a_split_follows_its_weights() {
    let split = r#""split": [{ "weight": 90, "upstream": "v1" }, { "weight": 10, "upstream": "v2" }]"#;
    let by_chance = load(&format!(r#"{{ "rules": [{{ {split} }}] }}"#));
    let share = shares(&by_chance, |_| mock::Request::get("/"))["v2"];
    assert!((70..130).contains(&share), "{share}");

    let by_address = load(&format!(r#"{{ "rules": [{{ {split}, "by": "client-ip" }}] }}"#));
    let address = |index: usize| format!("192.0.{}.{}", index / 250, index % 250);
    let share = shares(&by_address, |index| mock::Request::get("/").client(&address(index)))["v2"];
    assert!((70..130).contains(&share), "{share}");
    assert_eq!(shares(&by_address, |_| mock::Request::get("/").client("192.0.2.9")).len(), 1);
}

#[test]
fn a_user_keeps_the_target_when_the_share_grows() {
    let with_share = |share: u32| {
        load(&format!(
            r#"{{ "rules": [{{ "by": "header:x-user", "split": [
                {{ "weight": {share}, "upstream": "v2" }}, {{ "weight": {}, "upstream": "v1" }}] }}] }}"#,
            100 - share
        ))
    };
    let target = |plugin: &Loaded<Router>, user: usize| {
        let request = mock::Request::get("/").header("x-user", format!("user-{user}"));
        plugin.send(request).attribute("router.target").unwrap().to_owned()
    };
    let (before, after) = (with_share(10), with_share(30));
    let early: Vec<usize> = (0..200).filter(|user| target(&before, *user) == "v2").collect();
    assert!(!early.is_empty());
    assert!(early.iter().all(|user| target(&after, *user) == "v2"));
}

#[test]
fn a_cookie_keeps_the_client_at_its_target() {
    let configuration = r#"{ "rules": [{
        "sticky": { "cookie": "variant", "max-age": "7d" },
        "split": [{ "weight": 1, "upstream": "v1" }, { "weight": 1, "upstream": "v2", "name": "new" },
                  { "weight": 0, "name": "off" }]
    }] }"#;
    let plugin = load(configuration);
    let first = plugin.send(mock::Request::get("/"));
    let target = first.attribute("router.target").unwrap();
    let cookie = first.response().header("set-cookie").unwrap();
    assert_eq!(cookie, format!("variant={target}; Path=/; HttpOnly; SameSite=Lax; Max-Age=604800"));

    for name in ["v1", "new"] {
        let request = |_| mock::Request::get("/").header("cookie", format!("variant={name}"));
        assert_eq!(shares(&plugin, request), BTreeMap::from([(name.to_owned(), 1000)]));
    }
    let kept = plugin.send(mock::Request::get("/").header("cookie", "variant=new"));
    assert_eq!(kept.response().header("set-cookie"), None);
    for gone in ["off", "unknown"] {
        let moved = plugin.send(mock::Request::get("/").header("cookie", format!("variant={gone}")));
        assert!(moved.response().header("set-cookie").is_some());
    }
}

#[test]
fn the_path_is_rewritten_and_the_query_kept() {
    let plugin = load(r#"{ "rules": [{ "rewrite": { "prefix": "/api", "to": "/v2" } }] }"#);
    let exchange = plugin.send(mock::Request::get("/api/users?id=7"));
    assert_eq!(exchange.upstream_request().unwrap().path_with_query(), "/v2/users?id=7");
    let exchange = plugin.send(mock::Request::get("/other"));
    assert_eq!(exchange.upstream_request().unwrap().path_with_query(), "/other");
}

#[test]
fn mistakes_are_found_with_their_place() {
    assert_eq!(mistake("null").1, "missing key `rules`");
    assert_eq!(mistake(r#"{ "rules": [] }"#).0, "/rules");
    assert_eq!(
        mistake(r#"{ "rules": [{ "upstream": "v1" }, { "upstream": "v3" }] }"#),
        ("/rules/1/upstream".to_owned(), "there is no upstream `v3`".to_owned())
    );
    assert_eq!(
        mistake(r#"{ "rules": [{ "split": [{ "weight": 1, "upstream": "v9" }] }] }"#).0,
        "/rules/0/split/0/upstream"
    );
    assert_eq!(mistake(r#"{ "rules": [{ "split": [{ "weight": 0, "upstream": "v1" }] }] }"#).1, "all weights are 0");
    let twice = r#"{ "rules": [{ "split": [{ "weight": 1, "upstream": "v1" }, { "weight": 1, "upstream": "v1" }] }] }"#;
    assert_eq!(mistake(twice).0, "/rules/0/split/1");
    assert_eq!(mistake(r#"{ "rules": [{ "upstream": "v1", "split": [{ "weight": 1 }] }] }"#).0, "/rules/0/split");
    assert_eq!(mistake(r#"{ "rules": [{ "sticky": { "cookie": "c" } }] }"#).0, "/rules/0/sticky");
    assert_eq!(mistake(r#"{ "rules": [{ "by": "moon", "upstream": "v1" }] }"#).0, "/rules/0/by");
    assert_eq!(mistake(r#"{ "rules": [{ "rewrite": { "prefix": "api", "to": "/" } }] }"#).0, "/rules/0/rewrite/prefix");
    assert_eq!(mistake(r#"{ "rules": [{ "rewrite": { "prefix": "/", "to": "/{res}" } }] }"#).0, "/rules/0/rewrite/to");
    assert_eq!(mistake(r#"{ "rules": [{ "set-headers": { "a b": "" } }] }"#).0, "/rules/0/set-headers/a b");
    assert_eq!(mistake(r#"{ "rules": [{ "whem": {} }] }"#).1, "unknown key `whem`; did you mean `when`?");
}

#[test]
fn conditions_that_make_no_sense_are_refused() {
    for (when, message) in [
        ("{}", "looks at nothing"),
        (r#"{ "is": "1" }"#, "looks at nothing"),
        (r#"{ "header": "a", "cookie": "b" }"#, "not at `header` and `cookie`"),
        (r#"{ "header": "a b" }"#, "`a b` is not the name of a header"),
        (r#"{ "header": "a", "is": "1", "prefix": "2" }"#, "one test"),
        (r#"{ "path": "/a", "is": "1" }"#, "whole conditions"),
    ] {
        let (pointer, found) = mistake(&format!(r#"{{ "rules": [{{ "when": {when} }}] }}"#));
        assert_eq!(pointer, "/rules/0/when");
        assert!(found.contains(message), "{found}");
    }
    let (pointer, _) = mistake(r#"{ "rules": [{ "when": [{ "header": "a" }, { "heder": "b" }] }] }"#);
    assert_eq!(pointer, "/rules/0/when/1/heder");
}
