//! Targets and fields of requests against routes, and the texts that routes make of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use gofe::config::{Action, Config, Route, parse};
use gofe::route::{Facts, Origin, Table, cookies, normalized, parameters};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Uri};

/// Routes of every kind.
const ROUTES: &str = r#"
listeners: [{ address: 127.0.0.1:0 }]
routes:
- { match: { host: "*.example.com", path: /exact }, upstream: u }
- match: { path: /prefix/** }
  rewrite: { prefix: /other, host: "{request.header.x-a}" }
  upstream: u
- match: { path: "/users/{id}/{rest...}" }
  request-headers: { set: { x-id: "{path.id}-{request.parameter.q}" } }
  rewrite: { path: "/u/{path.rest}/{path.id}" }
  upstream: u
- match: { path: { regex: "/([a-z]+)/(.*)" } }
  redirect: { host: "{request.host}", path: "/{request.cookie.c}{request.path}" }
- match: { headers: { x-a: { prefix: b } }, query: { q: "1" }, cookies: { c: d } }
  redirect: { scheme: https, port: 8443 }
- { upstream: u }
upstreams: { u: { builtin: echo } }
"#;

static SITE: LazyLock<(Config, Table)> = LazyLock::new(|| {
    let loaded = parse("gofe.yaml", ROUTES).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let table = Table::build(&loaded.config.routes);
    (loaded.config, table)
});

/// Three lines: the target, the host, and what other fields have.
pub(crate) fn run(input: &[u8]) {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let (target, host) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let Ok(target) = Uri::try_from(target) else { return };
    let mut headers = HeaderMap::new();
    for (name, value) in [("host", host), ("cookie", lines.next().unwrap_or_default())] {
        let Ok(value) = HeaderValue::from_bytes(value) else { return };
        headers.insert(name, value.clone());
        headers.insert("x-a", value);
    }
    let _ = normalized(target.path());
    parameters(target.query(), "q").chain(parameters(target.query(), "")).for_each(drop);
    cookies(&headers, "c").chain(cookies(&headers, "")).for_each(drop);
    let mut parts = Request::new(()).into_parts().0;
    (parts.uri, parts.headers) = (target, headers);
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if let Ok(Some(found)) = SITE.1.find_request(&parts, Origin { address, server_name: None }) {
        texts(&parts, &SITE.0.routes[found]);
    }
}

/// What a route makes of a request.
fn texts(parts: &Parts, route: &Route) {
    let facts = Facts {
        method: &parts.method,
        target: &parts.uri,
        headers: &parts.headers,
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
        ip: "127.0.0.1",
        secure: false,
        server_name: None,
        tls_version: None,
        client_subject: None,
        route: &route.name,
        pattern: &route.matches.path,
    };
    let rewrite = &route.treatment.rewrite;
    let target = rewrite.path.as_ref().map(|path| facts.target(path, &parts.uri));
    if let Some(Ok(target)) = target {
        // It is one that gofe takes from clients too.
        assert!(normalized(target.path()).is_some());
    }
    if let Some(host) = &rewrite.host {
        let _ = facts.text(host);
    }
    if let Action::Redirect(redirect) = &route.action {
        let _ = facts.location(redirect, &parts.uri);
    }
    facts.edit(&route.treatment.request_headers, &mut parts.headers.clone());
}
