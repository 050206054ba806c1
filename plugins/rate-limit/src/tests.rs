//! What clients, upstreams and operators notice.

use std::time::Duration;

use super::*;
use mock::{Exchange, Host, Loaded};

fn load(host: &Host, configuration: &str) -> Loaded<RateLimit> {
    host.load(configuration).unwrap()
}

fn get(plugin: &Loaded<RateLimit>) -> Exchange {
    plugin.send(mock::Request::get("/"))
}

fn passes(plugin: &Loaded<RateLimit>, request: mock::Request) -> bool {
    plugin.send(request).upstream_request().is_some()
}

fn quota(exchange: &Exchange) -> [Option<&str>; 3] {
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"].map(|name| exchange.response().header(name))
}

fn mistake(configuration: &str) -> (String, String) {
    let errors = Host::new().load::<RateLimit>(configuration).unwrap_err();
    let error = errors.iter().next().unwrap();
    (error.pointer.clone(), error.message.clone())
}

#[test]
fn a_burst_passes_and_then_the_rate() {
    let host = Host::new();
    let plugin = load(&host, r#"{ "key": "client-ip", "rate": "10/s", "burst": 2 }"#);
    assert_eq!(quota(&get(&plugin)), [Some("2"), Some("1"), Some("1")]);
    assert_eq!(get(&plugin).response().status(), 200);
    let refused = get(&plugin);
    assert!(refused.upstream_request().is_none());
    assert_eq!(refused.response().status(), 429);
    assert_eq!(refused.response().header("retry-after"), Some("1"));
    assert_eq!(quota(&refused), [Some("2"), Some("0"), Some("1")]);
    assert!(refused.response().body().contains("rate-limited"));
    host.advance(Duration::from_millis(100));
    assert_eq!(get(&plugin).response().status(), 200);
    assert_eq!(get(&plugin).response().status(), 429);
}

#[test]
fn the_rate_is_the_burst_where_none_is_given() {
    let host = Host::new();
    let plugin = load(&host, r#"{ "rate": "3/m" }"#);
    for remaining in ["2", "1", "0"] {
        assert_eq!(get(&plugin).response().header("ratelimit-remaining"), Some(remaining));
    }
    let refused = get(&plugin);
    assert_eq!(refused.response().header("retry-after"), Some("20"));
    assert_eq!(refused.response().header("ratelimit-reset"), Some("60"));
}

#[test]
fn each_key_has_a_limit_of_its_own() {
    let host = Host::new();
    let by_client = load(&host, r#"{ "rate": "1/h" }"#);
    assert!(passes(&by_client, mock::Request::get("/").client("192.0.2.1")));
    assert!(!passes(&by_client, mock::Request::get("/").client("192.0.2.1")));
    assert!(passes(&by_client, mock::Request::get("/").client("192.0.2.2")));

    let host = Host::new();
    let by_both = load(&host, r#"{ "rate": "1/h", "key": ["claim:sub", "header:x-app"] }"#);
    let request = |sub: &str, app: &str| mock::Request::get("/").attribute("jwt.sub", sub).header("x-app", app);
    assert!(passes(&by_both, request("ab", "c")));
    assert!(passes(&by_both, request("a", "bc")));
    assert!(!passes(&by_both, request("a", "bc")));

    let host = Host::new();
    let by_route = load(&host, r#"{ "rate": "1/h", "key": "route" }"#);
    assert!(passes(&by_route, mock::Request::get("/").route("a").client("192.0.2.1")));
    assert!(!passes(&by_route, mock::Request::get("/").route("a").client("192.0.2.2")));
    assert!(passes(&by_route, mock::Request::get("/").route("b")));
}

#[test]
fn long_keys_are_told_apart() {
    let host = Host::new();
    let plugin = load(&host, r#"{ "rate": "1/h", "key": "header:authorization" }"#);
    let request = |end: &str| mock::Request::get("/").header("authorization", format!("{}{end}", "x".repeat(200)));
    assert!(passes(&plugin, request("1")));
    assert!(passes(&plugin, request("2")));
    assert!(!passes(&plugin, request("1")));
}

#[test]
fn a_missing_key_is_treated_as_configured() {
    let request = || mock::Request::get("/");
    let limit = |missing: &str| format!(r#"{{ "rate": "1/h", "key": "header:x", "missing-key": "{missing}" }}"#);

    let host = Host::new();
    let plugin = load(&host, r#"{ "rate": "1/h", "key": "header:x" }"#);
    assert!(passes(&plugin, request().client("192.0.2.1")));
    assert!(!passes(&plugin, request().client("192.0.2.1").header("x", "")));
    assert!(passes(&plugin, request().client("192.0.2.2")));

    let host = Host::new();
    let plugin = load(&host, &limit("share"));
    assert!(passes(&plugin, request().client("192.0.2.1")));
    assert!(!passes(&plugin, request().client("192.0.2.2")));

    let host = Host::new();
    let plugin = load(&host, &limit("skip"));
    assert!((0..3).all(|_| passes(&plugin, request())));

    let host = Host::new();
    let plugin = load(&host, &limit("reject"));
    assert_eq!(plugin.send(request()).response().status(), 400);
}

#[test]
fn a_sliding_window_holds_over_its_border() {
    let host = Host::new();
    let plugin = load(&host, r#"{ "rate": "4/m", "algorithm": "sliding-window" }"#);
    host.advance(Duration::from_secs(50));
    for remaining in ["3", "2", "1", "0"] {
        let exchange = get(&plugin);
        assert_eq!(quota(&exchange), [Some("4"), Some(remaining), Some("10")]);
    }
    assert_eq!(get(&plugin).response().status(), 429);
    // 25 s on, three quarters of the last window still count.
    host.advance(Duration::from_secs(25));
    assert_eq!(get(&plugin).response().status(), 200);
    let refused = get(&plugin);
    assert_eq!(refused.response().status(), 429);
    // One of the present window and half of the last (at 30 s) leave room for one.
    assert_eq!(refused.response().header("retry-after"), Some("15"));
    host.advance(Duration::from_secs(15));
    assert_eq!(get(&plugin).response().status(), 200);
}

#[test]
fn a_refused_request_does_not_count() {
    let host = Host::new();
    let plugin = load(&host, r#"{ "rate": "1/s", "algorithm": "sliding-window" }"#);
    assert_eq!(get(&plugin).response().status(), 200);
    for _ in 0..10 {
        assert_eq!(get(&plugin).response().status(), 429);
    }
    assert_eq!(get(&plugin).response().header("retry-after"), Some("2"));
    host.advance(Duration::from_secs(2));
    assert_eq!(get(&plugin).response().status(), 200);
}

#[test]
fn shadow_only_logs_and_counts() {
    let host = Host::new().metrics();
    let plugin = load(&host, r#"{ "rate": "1/h", "shadow": true }"#);
    get(&plugin);
    let over = get(&plugin);
    assert_eq!(over.response().status(), 200);
    assert_eq!(quota(&over), [None; 3]);
    assert_eq!(over.attribute("rate-limit.limited"), Some("shadow"));
    assert_eq!(host.metric("rate_limited", &[("mode", "shadow")]), Some(1.0));
    assert!(host.logs()[0].1.contains("`192.0.2.1` is over the limit"));
}

#[test]
fn status_and_headers_can_be_chosen() {
    let host = Host::new();
    let plugin = load(&host, r#"{ "rate": "1/h", "status": 503, "headers": false }"#);
    assert_eq!(quota(&get(&plugin)), [None; 3]);
    let refused = get(&plugin);
    assert_eq!(refused.response().status(), 503);
    assert_eq!(quota(&refused), [None; 3]);
    assert!(refused.response().header("retry-after").is_some());
}

#[test]
fn of_several_limits_the_tightest_is_shown() {
    let host = Host::new();
    let plugin = load(&host, r#"{ "rate": "10/s" }"#);
    let after = |limit: &str, remaining: &str| {
        let fields = [("ratelimit-limit", limit), ("ratelimit-remaining", remaining), ("ratelimit-reset", "30")];
        fields.iter().fold(mock::Request::get("/"), |request, (name, value)| request.prepared(name, value))
    };
    let tighter = plugin.send(after("5", "1"));
    assert_eq!(quota(&tighter), [Some("5"), Some("1"), Some("30")]);
    let looser = plugin.send(after("500", "100"));
    assert_eq!(quota(&looser), [Some("10"), Some("8"), Some("1")]);
}

#[test]
fn mistakes_are_found_with_their_place() {
    assert_eq!(mistake("null"), (String::new(), "missing key `rate`".to_owned()));
    assert_eq!(mistake(r#"{ "rate": "fast" }"#).0, "/rate");
    assert_eq!(mistake(r#"{ "rate": "1/s", "brust": 5 }"#).1, "unknown key `brust`; did you mean `burst`?");
    assert_eq!(mistake(r#"{ "rate": "1/s", "key": "ip" }"#).0, "/key");
    assert_eq!(mistake(r#"{ "rate": "1/s", "key": ["route", "x"] }"#).0, "/key/1");
    assert_eq!(mistake(r#"{ "rate": "1/s", "key": [] }"#).0, "/key");
    assert_eq!(mistake(r#"{ "rate": "1/s", "burst": 0 }"#).0, "/burst");
    assert_eq!(mistake(r#"{ "rate": "1/s", "burst": 5, "algorithm": "sliding-window" }"#).0, "/burst");
    assert_eq!(mistake(r#"{ "rate": "1/s", "status": 200 }"#).0, "/status");
    assert_eq!(
        mistake(r#"{ "rate": "1/s", "algorithm": "leaky" }"#),
        ("/algorithm".to_owned(), "unknown value `leaky`; expected `token-bucket` or `sliding-window`".to_owned())
    );
}
