use std::net::Ipv4Addr;

use http::Request;

use super::*;
use crate::config::{Action, Route};

fn route(text: &str) -> Route {
    let yaml = format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\nroutes: [{{ name: r, {text} }}]\nupstreams: {{ u: {{ builtin: echo }} }}\n"
    );
    crate::config::parse("test.yaml", &yaml).unwrap_or_else(|wrong| panic!("{wrong}")).config.routes.remove(0)
}

/// What a route makes of a GET for `target` on `a.test:8080`.
fn with<T>(route: &Route, target: &str, then: impl FnOnce(Facts<'_>) -> T) -> T {
    let request = Request::builder()
        .uri(target)
        .header("host", "a.test:8080")
        .header("x-a", "1/../2 ?")
        .header("cookie", "id=abc")
        .body(())
        .expect("a request");
    let facts = Facts {
        method: request.method(),
        target: request.uri(),
        headers: request.headers(),
        address: (Ipv4Addr::new(192, 0, 2, 1), 5000).into(),
        ip: "192.0.2.1",
        secure: false,
        server_name: None,
        tls_version: None,
        client_subject: None,
        route: &route.name,
        pattern: &route.matches.path,
    };
    then(facts)
}

fn rewritten(text: &str, target: &str) -> Result<String, Ambiguous> {
    let route = route(&format!("upstream: u, {text}"));
    let rewrite = route.treatment.rewrite.path.clone().expect("a rewrite");
    with(&route, target, |facts| facts.target(&rewrite, facts.target).map(|uri| uri.to_string()))
}

fn location(text: &str, target: &str) -> String {
    let route = route(text);
    let Action::Redirect(redirect) = &route.action else { panic!("a redirect") };
    with(&route, target, |facts| {
        facts.location(redirect, facts.target).expect("a location").to_str().unwrap().to_owned()
    })
}

#[test]
fn a_prefix_is_replaced_segment_by_segment() {
    let prefix = "match: { path: /api/** }, rewrite: { prefix: /v2/ }";
    assert_eq!(rewritten(prefix, "/api/users?a=b"), Ok("/v2/users?a=b".into()));
    assert_eq!(rewritten(prefix, "/api"), Ok("/v2".into()));
    assert_eq!(rewritten(prefix, "//api/"), Ok("/v2/".into()));
    let root = "match: { path: /api/** }, rewrite: { prefix: / }";
    assert_eq!(rewritten(root, "/api/users"), Ok("/users".into()));
    assert_eq!(rewritten(root, "/api?q"), Ok("/?q".into()));
}

#[test]
fn a_template_rewrites_with_what_it_captured() {
    let text = "match: { path: '/users/{id}/files/{rest...}' }, rewrite: { path: '/f/{path.rest}/of/{path.id}' }";
    assert_eq!(rewritten(text, "/users/%61b/files/x/y%2Fz?q=1"), Ok("/f/x/y%2Fz/of/ab?q=1".into()));
    let query = "match: { path: '/u/{id}' }, rewrite: { path: '/u?id={path.id}&{request.query}' }";
    assert_eq!(rewritten(query, "/u/7?a=b"), Ok("/u?id=7&a=b".into()));
    let regex = "match: { path: { regex: '/v(?P<major>[0-9]+)/.*' } }, rewrite: { path: '/{path.major}' }";
    assert_eq!(rewritten(regex, "/v12/x"), Ok("/12".into()));
}

#[test]
fn an_expression_replaces_what_it_finds() {
    let text = "rewrite: { regex: '/id-([0-9]+)', replacement: '/${1}/item' }";
    assert_eq!(rewritten(text, "/a/id-12/id-3?x"), Ok("/a/12/item/3/item?x".into()));
    assert_eq!(rewritten("rewrite: { regex: '^/a', replacement: '' }", "/ab"), Ok("/b".into()));
}

#[test]
fn a_header_cannot_lead_out_of_its_segment() {
    assert_eq!(rewritten("rewrite: { path: '/t/{request.header.x-a}/x' }", "/"), Err(Ambiguous));
    assert_eq!(rewritten("rewrite: { path: '/t/{request.cookie.id}/x' }", "/"), Ok("/t/abc/x".into()));
    assert_eq!(rewritten("rewrite: { regex: 'a', replacement: '..' }", "/a"), Err(Ambiguous));
}

#[test]
fn a_redirect_keeps_what_it_does_not_change() {
    assert_eq!(location("redirect: { scheme: https }", "/a?b"), "https://a.test/a?b");
    assert_eq!(location("redirect: { port: 8443, scheme: https }", "/a"), "https://a.test:8443/a");
    assert_eq!(location("redirect: { path: /b }", "/a?q"), "http://a.test:8080/b?q");
    assert_eq!(location("redirect: { host: b.test }", "/a"), "http://b.test/a");
    assert_eq!(
        location(
            "match: { path: '/{lang}/{rest...}' }, redirect: { host: '{path.lang}.test', path: '/{path.rest}' }",
            "/de/a/b"
        ),
        "http://de.test/a/b"
    );
}

#[test]
fn edits_remove_set_and_add_in_this_order() {
    let route = route(
        "upstream: u, match: { path: '/{x}' }, request-headers: { remove: [x-b], set: { x-a: 'é', x-c: '{client.ip}:{client.port} {request.method} {request.scheme} {request.host} {request.path}', x-none: '{tls.version}' }, \
         add: { x-a: '{route.name}-{path.x}-{request.parameter.q}', x-b: '{{{request.cookie.id}}}' } }",
    );
    let headers = with(&route, "/p?q=1%2B1", |facts| {
        let mut headers = HeaderMap::new();
        for name in ["x-a", "x-b", "x-none"] {
            headers.append(name, HeaderValue::from_static("old"));
        }
        facts.edit(&route.treatment.request_headers, &mut headers);
        headers
    });
    let all = |name: &str| {
        headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(all("x-a"), ["é", "r-p-1+1"]);
    assert_eq!(all("x-b"), ["{abc}"]);
    assert_eq!(all("x-c"), ["192.0.2.1:5000 GET http a.test /p"]);
    assert!(all("x-none").is_empty(), "a client's value does not stay where gofe has none");
}
