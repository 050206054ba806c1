use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use http::{HeaderValue, Method, Request};

use super::*;
use crate::config::{Action, Match, PathPattern, Treatment, ValueMatch};

mod order;

const ORIGIN: Origin<'_> = Origin { address: IpAddr::V4(Ipv4Addr::LOCALHOST), server_name: None };

fn route(matches: Match) -> Route {
    Route {
        name: String::new(),
        priority: 0,
        matches,
        chain: None,
        action: Action::Upstream("u".to_owned()),
        treatment: Treatment::default(),
        timeout: Duration::from_secs(1),
        body_size: None,
        sending: crate::config::RouteSending::default(),
        upgrades: Vec::new(),
        grpc_web: false,
        listeners: Vec::new(),
    }
}

fn to(hosts: &[&str], pattern: &str) -> Route {
    let list: Vec<String> = hosts.iter().map(|host| format!("{host:?}")).collect();
    let hosts = if hosts.is_empty() { String::new() } else { format!("hosts: [{}],", list.join(",")) };
    route(matches(&format!("{hosts} path: {pattern:?}")))
}

/// A match as the file has it.
fn matches(text: &str) -> Match {
    let yaml = format!("listeners: [{{ address: 127.0.0.1:0 }}]\nroutes: [{{ match: {{ {text} }}, respond: {{}} }}]\n");
    let loaded = crate::config::parse("test.yaml", &yaml).unwrap_or_else(|wrong| panic!("{wrong}"));
    loaded.config.routes[0].matches.clone()
}

fn head(uri: &str) -> Parts {
    Request::builder().uri(uri).body(()).expect("a request").into_parts().0
}

fn get(table: &Table, host: &str, path: &str) -> Option<usize> {
    table.find(host, path, &head("/"), ORIGIN)
}

/// Which of these matches takes a request, each the only one that is tried.
fn taken(texts: &[&str], change: impl Fn(&mut Parts)) -> Vec<bool> {
    let mut parts = head("/");
    change(&mut parts);
    let taken = |text: &&str| Table::build(&[route(matches(text))]).find_request(&parts, ORIGIN) == Ok(Some(0));
    texts.iter().map(taken).collect()
}

#[test]
fn an_exact_host_goes_before_a_suffix_and_a_suffix_before_any() {
    let table = Table::build(&[
        to(&[], "/**"),
        to(&["*.com"], "/**"),
        to(&["*.example.com"], "/**"),
        to(&["a.example.com"], "/**"),
    ]);
    assert_eq!(get(&table, "a.example.com", "/"), Some(3));
    assert_eq!(get(&table, "b.example.com", "/"), Some(2));
    assert_eq!(get(&table, "a.b.example.com", "/"), Some(2));
    assert_eq!(get(&table, "example.com", "/"), Some(1));
    assert_eq!(get(&table, "com", "/"), Some(0));
    assert_eq!(get(&table, "", "/"), Some(0));
}

#[test]
fn a_host_is_compared_without_case_port_and_last_dot() {
    let table = Table::build(&[to(&["example.com"], "/**"), to(&["[::1]"], "/**"), to(&["10.0.0.1"], "/**")]);
    for spelling in ["example.com", "EXAMPLE.com:8080", "example.com.", "Example.Com.:80"] {
        assert_eq!(get(&table, spelling, "/"), Some(0), "{spelling}");
    }
    assert_eq!(get(&table, "[::1]", "/"), Some(1));
    assert_eq!(get(&table, "[::1]:8080", "/"), Some(1));
    assert_eq!(get(&table, "10.0.0.1:8080", "/"), Some(2));
    assert_eq!(get(&table, "notexample.com", "/"), None);
    assert_eq!(get(&table, &"a".repeat(100_000), "/"), None);
}

#[test]
fn an_exact_path_goes_before_a_prefix_and_a_longer_prefix_before_a_shorter() {
    let table = Table::build(&[to(&[], "/**"), to(&[], "/a/**"), to(&[], "/a/b/**"), to(&[], "/a/b")]);
    assert_eq!(get(&table, "", "/a/b"), Some(3));
    assert_eq!(get(&table, "", "/a/b/"), Some(2));
    assert_eq!(get(&table, "", "/a/b/c/d/e"), Some(2));
    assert_eq!(get(&table, "", "/a"), Some(1));
    assert_eq!(get(&table, "", "/a/"), Some(1));
    assert_eq!(get(&table, "", "/ab"), Some(0));
    assert_eq!(get(&table, "", "/"), Some(0));
    assert_eq!(get(&table, "", "*"), Some(0));
    assert_eq!(get(&table, "", ""), Some(0));
}

#[test]
fn a_host_without_a_matching_path_leaves_the_request_to_a_wider_one() {
    let table = Table::build(&[to(&["a.example.com"], "/a"), to(&["*.example.com"], "/b"), to(&[], "/c")]);
    assert_eq!(get(&table, "a.example.com", "/a"), Some(0));
    assert_eq!(get(&table, "a.example.com", "/b"), Some(1));
    assert_eq!(get(&table, "a.example.com", "/c"), Some(2));
    assert_eq!(get(&table, "a.example.com", "/d"), None);
}

#[test]
fn more_conditions_go_first_and_failing_ones_fall_through() {
    let texts = [
        "path: /a",
        "path: /a, methods: [POST]",
        "path: /a, methods: [POST], headers: { x-a: '1' }",
        "path: /a, headers: { x-b: true }",
        "path: /b, methods: [DELETE]",
        "path: /**",
    ];
    let table = Table::build(&texts.map(|text| route(matches(text))));
    let find = |method: Method, fields: &[(&'static str, &'static str)], path: &str| {
        let mut parts = head(path);
        parts.method = method;
        for (name, value) in fields {
            parts.headers.append(*name, HeaderValue::from_static(value));
        }
        table.find_request(&parts, ORIGIN).expect("a plain path")
    };
    assert_eq!(find(Method::GET, &[], "/a"), Some(0));
    assert_eq!(find(Method::POST, &[], "/a"), Some(1));
    assert_eq!(find(Method::POST, &[("x-a", "0"), ("x-a", "1")], "/a"), Some(2));
    assert_eq!(find(Method::POST, &[("x-a", "2")], "/a"), Some(1));
    assert_eq!(find(Method::GET, &[("x-b", "")], "/a"), Some(3));
    assert_eq!(find(Method::GET, &[], "/b"), Some(5));
}

#[test]
fn spellings_of_one_path_do_not_reach_different_routes() {
    let table = Table::build(&[to(&[], "/admin/**"), to(&[], "/**")]);
    let find = |path: &str| {
        let (parts, ()) = Request::builder().uri(path).body(()).expect("a request").into_parts();
        table.find_request(&parts, ORIGIN)
    };
    for spelling in ["/admin", "/admin/", "/%61dmin/x", "//admin/x", "/admin//x", "/%61%64min?a=/../b", "/admin/..."] {
        assert_eq!(find(spelling), Ok(Some(0)), "{spelling}");
    }
    for spelling in ["/Admin", "/x%2Fadmin", "/administrator", "/.well-known/x", "/a..b", "/%zz", "/%2", "/%"] {
        assert_eq!(find(spelling), Ok(Some(1)), "{spelling}");
    }
    for spelling in [
        "/x/../admin",
        "/./admin",
        "/x/%2e%2E/admin",
        "/x/.%2e",
        "/..",
        "/x%2f..%2fadmin",
        "/x/..%5cadmin",
        "/x\\..\\a",
        "/x/..;a=b/admin",
    ] {
        assert_eq!(find(spelling), Err(Ambiguous), "{spelling}");
    }
}

#[test]
fn the_target_goes_before_the_host_field() {
    let table = Table::build(&[to(&["a"], "/**"), to(&["b"], "/**")]);
    let find = |request: http::request::Builder| {
        table.find_request(&request.body(()).expect("a request").into_parts().0, ORIGIN)
    };
    assert_eq!(find(Request::builder().uri("/").header(HOST, "b:80")), Ok(Some(1)));
    assert_eq!(find(Request::builder().uri("http://a:80/").header(HOST, "b")), Ok(Some(0)));
}

#[test]
fn templates_and_expressions_stand_between_what_is_literal_and_what_is_below() {
    let patterns =
        ["/**", "/users/**", "/users/{id}", "/users/me", "/users/{id}/files/{rest...}", "/{a}/{b}", "/x/{y}/"];
    let mut routes: Vec<Route> = patterns.iter().map(|pattern| to(&[], pattern)).collect();
    routes.push(route(matches("path: { regex: '/users/[0-9]+' }")));
    let table = Table::build(&routes);
    for (path, expected) in [
        ("/users/me", 3),
        ("/users/12", 7),
        ("/users/12a", 2),
        ("/users/", 1),
        ("/users", 1),
        ("/users/a/b", 1),
        ("/users/a/files/", 4),
        ("/users/a/files/b/c", 4),
        ("/users/a/files", 1),
        ("/a/b", 5),
        ("/x/b", 5),
        ("/x/b/", 6),
        ("/x//", 0),
        ("/a/b/c", 0),
        ("*", 0),
    ] {
        assert_eq!(get(&table, "", path), Some(expected), "{path}");
    }
}

#[test]
fn a_priority_goes_before_all_else() {
    let mut wide = to(&[], "/a/**");
    wide.priority = 1;
    wide.matches.methods.push(Method::GET);
    let mut last = to(&["a.test"], "/a/b");
    last.priority = -1;
    let table = Table::build(&[to(&["a.test"], "/a/b"), wide, last, to(&[], "/**")]);
    assert_eq!(get(&table, "a.test", "/a/b"), Some(1));
    let mut post = head("/a/b");
    post.method = Method::POST;
    assert_eq!(table.find("a.test", "/a/b", &post, ORIGIN), Some(0));
}

#[test]
fn values_are_compared_whole_by_beginning_by_end_or_by_expression() {
    let texts = [
        "headers: { x-a: one }",
        "headers: { x-a: true }",
        "headers: { x-a: false }",
        "headers: { x-a: { prefix: o } }",
        "headers: { x-a: { suffix: e } }",
        "headers: { x-a: { regex: 'o[a-z]' } }",
        "headers: { x-a: { regex: 'o[a-z]*' } }",
    ];
    let with =
        |value: &'static str| taken(&texts, |parts| _ = parts.headers.insert("x-a", HeaderValue::from_static(value)));
    assert_eq!(with("one"), [true, true, false, true, true, false, true]);
    assert_eq!(with("two"), [false, true, false, false, false, false, false]);
    assert_eq!(taken(&texts, |_| {}), [false, false, true, false, false, false, false]);
}

#[test]
fn parameters_and_cookies_are_decoded_as_their_formats_say() {
    let texts = [
        "query: { q: a b }",
        "query: { q: { prefix: 'a b' } }",
        "query: { 'ä': true }",
        "query: { flag: '' }",
        "cookies: { session: abc }",
        "cookies: { session: true }",
    ];
    let query = |uri: &str| taken(&texts[..4], |parts| parts.uri = uri.parse().expect("a target"));
    assert_eq!(query("/?q=a%20b&flag"), [true, true, false, true]);
    assert_eq!(query("/?x=1&q=z&q=a+b%21"), [false, true, false, false]);
    assert_eq!(query("/?%C3%A4=&flag=1"), [false, false, true, false]);
    let cookie = |text: &'static str| {
        taken(&texts[4..], |parts| _ = parts.headers.insert("cookie", HeaderValue::from_static(text)))
    };
    assert_eq!(cookie("a=b; session=abc"), [true, true]);
    assert_eq!(cookie("session=\"abc\";c=d"), [true, true]);
    assert_eq!(cookie("xsession=abc; session=x=y"), [false, true]);
    assert_eq!(cookie("session"), [false, false]);
}

#[test]
fn the_client_and_the_name_that_it_asks_for_are_conditions() {
    let table = Table::build(&[
        route(matches("client-addresses: [10.0.0.0/8, '::1']")),
        route(matches("server-names: [a.test, '*.b.test']")),
    ]);
    let find = |address: &str, server_name| {
        let origin = Origin { address: address.parse().expect("an address"), server_name };
        table.find("", "/", &head("/"), origin)
    };
    assert_eq!(find("10.1.2.3", None), Some(0));
    assert_eq!(find("::1", Some("x.test")), Some(0));
    assert_eq!(find("11.0.0.1", None), None);
    assert_eq!(find("11.0.0.1", Some("A.test")), Some(1));
    assert_eq!(find("11.0.0.1", Some("x.y.b.test.")), Some(1));
    assert_eq!(find("11.0.0.1", Some("b.test")), None);
}
