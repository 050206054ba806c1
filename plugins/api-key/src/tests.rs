//! What clients, upstreams and operators notice.

use super::*;
use mock::{Host, Loaded};

fn plugin(configuration: &str) -> Loaded<ApiKey> {
    Host::new().load(configuration).unwrap()
}

fn mistake(host: &Host, configuration: &str) -> (String, String) {
    let errors = host.load::<ApiKey>(configuration).unwrap_err();
    let error = errors.iter().next().unwrap();
    (error.pointer.clone(), error.message.clone())
}

const ALICE: &str = r#"{ "keys": { "secret": "alice" } }"#;

#[test]
fn a_known_key_passes_under_its_consumers_name() {
    let exchange = plugin(ALICE).send(mock::Request::get("/").header("x-api-key", "secret"));
    let sent = exchange.upstream_request().unwrap();
    assert_eq!(sent.header("x-consumer"), Some("alice"));
    assert_eq!(sent.header("x-api-key"), None);
    assert_eq!(exchange.attribute("api-key.consumer"), Some("alice"));
}

#[test]
fn only_the_request_headers_phase_costs_anything() {
    assert_eq!(plugin(ALICE).interest.phases, gofe_plugin::Phases::REQUEST_HEADERS);
}

#[test]
fn no_key_and_a_wrong_key_get_401() {
    let plugin = plugin(ALICE);
    for (request, error) in [
        (mock::Request::get("/"), "missing-api-key"),
        (mock::Request::get("/").header("x-api-key", ""), "missing-api-key"),
        (mock::Request::get("/").header("x-api-key", "secre"), "invalid-api-key"),
        (mock::Request::get("/").header("x-api-key", b"\xff"), "invalid-api-key"),
    ] {
        let exchange = plugin.send(request);
        assert!(exchange.upstream_request().is_none());
        let response = exchange.response();
        assert_eq!(response.status(), 401);
        assert_eq!(response.header("www-authenticate"), Some("ApiKey realm=\"api\""));
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert!(response.body().contains(error), "{}", response.body());
    }
}

#[test]
fn a_client_cannot_name_itself() {
    let request = || mock::Request::get("/").header("x-consumer", "admin");
    let exchange = plugin(ALICE).send(request().header("x-api-key", "secret"));
    let names: Vec<_> = exchange.upstream_request().unwrap().headers().to_vec();
    assert_eq!(names, [("x-consumer".to_owned(), b"alice".to_vec())]);

    let optional = plugin(r#"{ "keys": { "secret": "alice" }, "optional": true }"#);
    let exchange = optional.send(request());
    assert_eq!(exchange.upstream_request().unwrap().header("x-consumer"), None);
}

#[test]
fn an_optional_key_must_still_be_right() {
    let plugin = plugin(r#"{ "keys": { "secret": "alice" }, "optional": true }"#);
    assert_eq!(plugin.send(mock::Request::get("/")).response().status(), 200);
    assert_eq!(plugin.send(mock::Request::get("/").header("x-api-key", "x")).response().status(), 401);
}

#[test]
fn keys_are_found_at_each_place_and_hidden_there() {
    let plugin = plugin(r#"{ "keys": { "a b": "alice" }, "from": ["bearer", "query:key", "cookie:key"] }"#);
    let bearer = plugin.send(mock::Request::get("/p").header("authorization", "bearer a b"));
    assert_eq!(bearer.upstream_request().unwrap().header("authorization"), None);
    let query = plugin.send(mock::Request::get("/p?x=1&key=a+b"));
    assert_eq!(query.upstream_request().unwrap().path_with_query(), "/p?x=1");
    let cookie = plugin.send(mock::Request::get("/p").header("cookie", "x=1; key=a b"));
    assert_eq!(cookie.upstream_request().unwrap().header("cookie"), Some("x=1"));
    let none = plugin.send(mock::Request::get("/p"));
    assert_eq!(none.response().header("www-authenticate"), Some("Bearer realm=\"api\""));
}

#[test]
fn what_the_upstream_sees_can_be_chosen() {
    let plugin = plugin(r#"{ "keys": { "k": "alice" }, "hide-credential": false, "consumer-header": "" }"#);
    let exchange = plugin.send(mock::Request::get("/").header("x-api-key", "k"));
    let sent = exchange.upstream_request().unwrap();
    assert_eq!(sent.headers(), [("x-api-key".to_owned(), b"k".to_vec())]);
}

#[test]
fn keys_may_be_secrets_or_digests() {
    let host = Host::new().secret("bob-key", "hunter2\n");
    let configuration = r#"{
        "secrets": { "bob-key": "bob" },
        "keys": { "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b": "carol" }
    }"#;
    let plugin = host.load::<ApiKey>(configuration).unwrap();
    let consumer = |key: &str| {
        let exchange = plugin.send(mock::Request::get("/").header("x-api-key", key));
        exchange.attribute("api-key.consumer").map(str::to_owned)
    };
    assert_eq!(consumer("hunter2").as_deref(), Some("bob"));
    assert_eq!(consumer("secret").as_deref(), Some("carol"));
    assert_eq!(consumer("2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"), None);
}

#[test]
fn mistakes_are_found_with_their_place() {
    let host = Host::new();
    assert!(mistake(&host, "null").1.starts_with("there are no keys"));
    assert_eq!(mistake(&host, r#"{ "key": {} }"#), ("/key".into(), "unknown key `key`; did you mean `keys`?".into()));
    let (pointer, message) = mistake(&host, r#"{ "secrets": { "a/b": "alice" } }"#);
    assert_eq!(pointer, "/secrets/a~1b");
    assert!(message.starts_with("the secret `a/b` is not granted"));
    assert_eq!(mistake(&host, r#"{ "keys": { "sha256:12": "a" } }"#).0, "/keys/sha256:12");
    assert_eq!(mistake(&host, r#"{ "keys": { "": "a" } }"#), ("/keys/".into(), "the key is empty".into()));
    assert_eq!(mistake(&host, r#"{ "keys": { "k": "" } }"#).0, "/keys/k");
    assert_eq!(mistake(&host, r#"{ "keys": { "k": "a" }, "from": ["header:x", "head:x"] }"#).0, "/from/1");
    assert_eq!(mistake(&host, r#"{ "keys": { "k": "a" }, "from": "nowhere" }"#).0, "/from");
    assert_eq!(mistake(&host, r#"{ "keys": { "k": "a" }, "consumer-header": "a b" }"#).0, "/consumer-header");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let errors = Host::new().load::<ApiKey>(r#"{ "keys": { "k": "" }, "from": [], "realm": "\"" }"#).unwrap_err();
    let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/from", "/realm", "/keys/k"]);
}
