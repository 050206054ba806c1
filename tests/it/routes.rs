//! What routes do: matches, redirects, rewrites, header edits, shares, faults, copies, fallbacks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Response;
use tokio::sync::Notify;

use crate::harness::{Gofe, Upstream, full, get, post, request};

/// How long a test waits for an event before it says that it did not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gofe with these routes in front of upstreams, by name; `echo` is the demo server.
fn site(routes: &str, upstreams: &[(&str, &Upstream)]) -> Gofe {
    let upstreams: String =
        upstreams.iter().map(|(name, up)| format!("  {name}: {{ endpoints: ['{}'] }}\n", up.address)).collect();
    Gofe::start(&format!("routes:\n{routes}upstreams:\n  echo: {{ builtin: echo }}\n{upstreams}"))
}

/// What the demo server got.
fn echoed(gofe: &Gofe, path: &str, headers: &[(&str, &str)]) -> serde_json::Value {
    let answer = get(gofe.address, path, headers);
    assert_eq!(answer.status, 200, "{}", answer.head);
    answer.json()
}

#[test]
fn a_request_goes_to_the_most_specific_route() {
    let route = |name: &str, matches: &str| format!("  - {{ match: {{ {matches} }}, respond: {{ body: {name} }} }}\n");
    let routes = [
        route("any", "path: /**"),
        route("user", "path: '/users/{id}'"),
        route("me", "path: /users/me"),
        route("number", "path: { regex: '/users/[0-9]+' }"),
        route("files", "path: '/users/{id}/files/{rest...}'"),
        route("german", "path: /users/me, query: { lang: de }"),
        route("beta", "path: /users/me, cookies: { beta: { prefix: y } }"),
        route("none", "path: /users/me, headers: { x-a: { suffix: z } }"),
        route("here", "path: /here, client-addresses: [127.0.0.0/8]"),
        route("there", "path: /there, client-addresses: [192.0.2.0/24]"),
    ];
    let gofe = site(&routes.concat(), &[]);
    let taken = |path: &str, headers: &[(&str, &str)]| get(gofe.address, path, headers).body;
    assert_eq!(taken("/users/anna", &[]), "user");
    assert_eq!(taken("/users/12", &[]), "number");
    assert_eq!(taken("/users/me", &[]), "me");
    assert_eq!(taken("/users/%6De?x=1&lang=de", &[]), "german");
    assert_eq!(taken("/users/me", &[("cookie", "a=b; beta=yes")]), "beta");
    assert_eq!(taken("/users/me", &[("x-a", "xyz")]), "none");
    assert_eq!(taken("/users/anna/files/a/b", &[]), "files");
    assert_eq!(taken("/users/anna/other", &[]), "any");
    assert_eq!(taken("/here", &[]), "here");
    assert_eq!(taken("/there", &[]), "any");
}

#[test]
fn a_redirect_says_where_and_nobody_else_is_asked() {
    let gofe = site(
        "  - { match: { path: '/old/{rest...}' }, redirect: { status: 308, path: '/new/{path.rest}' } }\n  \
         - match: { path: /secure/** }\n    redirect: { status: 301, scheme: https, host: secure.test, prefix: / }\n    \
             response-headers: { set: { x-route: '{route.name}' } }\n",
        &[],
    );
    let answer = get(gofe.address, "/old/a/b?c=d", &[("host", "a.test:81")]);
    assert_eq!((answer.status, answer.header("location")), (308, Some("http://a.test:81/new/a/b?c=d")));
    let answer = get(gofe.address, "/secure/x", &[]);
    assert_eq!((answer.status, answer.header("location")), (301, Some("https://secure.test/x")));
    assert_eq!(answer.header("x-route"), Some("/secure/**"));
}

#[test]
fn the_upstream_gets_what_the_route_makes_of_the_request() {
    let gofe = site(
        "  - match: { path: '/v1/{user}/{rest...}' }\n    upstream: echo\n    \
             rewrite: { path: '/{path.rest}', host: 'api.internal:81' }\n    \
             request-headers: { set: { x-user: '{path.user}', x-client: '{client.ip}' }, add: { accept: a/b }, remove: [x-gone] }\n    \
             response-headers: { set: { x-method: '{request.method} {request.header.x-said}' }, remove: [content-type] }\n  \
         - match: { path: /up/** }\n    upstream: echo\n    rewrite: { path: '/{request.header.x-said}/x' }\n",
        &[],
    );
    let headers = [("x-gone", "1"), ("x-user", "forged"), ("x-said", "hello"), ("accept", "c/d")];
    let got = echoed(&gofe, "/v1/anna/a%2Fb/c?q=1", &headers);
    assert_eq!(got["path"], "/a%2Fb/c?q=1", "{got}");
    let sent = got["headers"].as_object().unwrap();
    assert_eq!(
        (&sent["host"], &sent["x-user"], &sent["x-client"]),
        (&"api.internal:81".into(), &"anna".into(), &"127.0.0.1".into())
    );
    assert_eq!(sent["x-forwarded-host"], "test");
    assert!(!sent.contains_key("x-gone") && got.to_string().contains("a/b"), "{got}");
    let answer = get(gofe.address, "/v1/anna/x", &[("x-said", "hello")]);
    assert_eq!((answer.header("x-method"), answer.header("content-type")), (Some("GET hello"), None));
    assert_eq!(echoed(&gofe, "/up/", &[("x-said", "a/b c")])["path"], "/a%2Fb%20c/x");
    assert_eq!(get(gofe.address, "/up/", &[("x-said", "a/../b")]).status, 400, "what a client may not ask for");
}

#[test]
fn shares_are_as_the_weights_and_a_cookie_keeps_a_client_at_one() {
    let (v1, v2) = (Upstream::text("v1"), Upstream::text("v2"));
    let gofe = site(
        "  - match: { path: /chance }\n    upstreams: [{ upstream: v1, weight: 90 }, { upstream: v2, weight: 10 }]\n  \
         - match: { path: /cookie }\n    upstreams: [{ upstream: v1 }, { upstream: v2 }]\n    sticky: { cookie: release }\n  \
         - match: { path: /header }\n    upstreams: [{ upstream: v1 }, { upstream: v2 }]\n    sticky: { header: x-id }\n",
        &[("v1", &v1), ("v2", &v2)],
    );
    let mut counts: HashMap<String, usize> = HashMap::new();
    for _ in 0..400 {
        *counts.entry(get(gofe.address, "/chance", &[]).body).or_default() += 1;
    }
    // Forty are expected; that it is so few or so many does not happen in a lifetime.
    assert!((4..=100).contains(&counts["v2"]), "{counts:?}");
    let mut seen = [false; 2];
    for _ in 0..40 {
        let first = get(gofe.address, "/cookie", &[]);
        let cookie = first.header("set-cookie").expect("a client without the cookie gets one");
        let pair = cookie.split(';').next().unwrap().to_owned();
        assert!(pair.starts_with("release=") && cookie.contains("HttpOnly"), "{cookie}");
        let again = get(gofe.address, "/cookie", &[("cookie", &pair)]);
        assert_eq!((&again.body, again.header("set-cookie")), (&first.body, None));
        seen[usize::from(first.body == "v2")] = true;
    }
    assert_eq!(seen, [true; 2]);
    for id in 0..20 {
        let id = id.to_string();
        let bodies: Vec<String> = (0..3).map(|_| get(gofe.address, "/header", &[("x-id", &id)]).body).collect();
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    }
}

#[test]
fn faults_happen_to_those_they_are_meant_for() {
    let gofe = site(
        "  - match: { path: /abort }\n    upstream: echo\n    fault: { abort: { status: 418 }, headers: { x-chaos: true } }\n  \
         - match: { path: /delay }\n    upstream: echo\n    timeout: 20ms\n    fault: { delay: { time: 1h }, headers: { x-chaos: true } }\n  \
         - match: { path: /never }\n    upstream: echo\n    fault: { abort: { status: 500, percentage: 0 } }\n",
        &[],
    );
    assert_eq!(get(gofe.address, "/abort", &[("x-chaos", "1")]).status, 418);
    assert_eq!(get(gofe.address, "/abort", &[]).status, 200);
    assert_eq!(get(gofe.address, "/delay", &[("x-chaos", "1")]).status, 504, "the delay counts towards the timeout");
    assert_eq!(get(gofe.address, "/never", &[]).status, 200);
    gofe.counts("gofe_errors_total{reason=\"fault-injected\"}", 1);
}

/// An upstream that tells of each body it gets, and then never answers where it is silent.
fn listener(silent: bool) -> (Upstream, mpsc::Receiver<String>) {
    let (tell, told) = mpsc::channel();
    let up = Upstream::start(move |request| {
        let tell = tell.clone();
        async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            tell.send(format!("{path} {}", String::from_utf8_lossy(&body))).unwrap();
            if silent {
                std::future::pending::<()>().await;
            }
            Response::new(full("thrown away"))
        }
    });
    (up, told)
}

#[test]
fn a_mirror_gets_copies_and_holds_nobody_up() {
    let (shadow, told) = listener(true);
    let main = Upstream::text("main");
    let gofe = site(
        "  - match: { path: /a/** }\n    upstream: main\n    rewrite: { prefix: /b }\n    mirror: { upstream: shadow, body-size: 10, active-requests: 3 }\n",
        &[("main", &main), ("shadow", &shadow)],
    );
    assert_eq!(post(gofe.address, "/a/long", &[], "eleven byte").body, "main");
    assert_eq!(post(gofe.address, "/a/short", &[], "ten bytes.").body, "main");
    assert_eq!(get(gofe.address, "/a/none", &[]).body, "main");
    assert_eq!(post(gofe.address, "/a/last", &[], "x").body, "main");
    // As many as may are on their way now, and none has been answered.
    assert_eq!(get(gofe.address, "/a/over", &[]).body, "main");
    let mut copies: Vec<String> = (0..3).map(|_| told.recv_timeout(PATIENCE).expect("a copy")).collect();
    copies.sort();
    assert_eq!(copies, ["/b/last x", "/b/none ", "/b/short ten bytes."]);
    assert!(told.try_recv().is_err(), "neither the long one nor the one too many");
}

#[test]
fn a_fallback_answers_when_the_upstream_does_not() {
    let broken = Upstream::start(|_| async {
        let mut response = Response::new(full("broken"));
        *response.status_mut() = hyper::StatusCode::SERVICE_UNAVAILABLE;
        response
    });
    let (other, told) = listener(false);
    let silent = Upstream::start(|_| std::future::pending());
    let gofe = Gofe::start(&format!(
        "routes:\n  \
         - {{ match: {{ path: /refused }}, upstream: nobody, fallback: {{ respond: {{ status: 203, headers: {{ x-a: b }}, body: sorry }} }} }}\n  \
         - {{ match: {{ path: /status }}, upstream: broken, fallback: {{ statuses: [503], respond: {{ body: sorry }} }} }}\n  \
         - {{ match: {{ path: /fine }}, upstream: broken, fallback: {{ statuses: [500], respond: {{ body: sorry }} }} }}\n  \
         - {{ match: {{ path: /silent }}, upstream: silent, timeout: 20ms, fallback: {{ respond: {{ body: late }} }} }}\n  \
         - {{ match: {{ path: /other }}, upstream: broken, fallback: {{ statuses: [503], upstream: other }} }}\n  \
         - {{ match: {{ path: /chain }}, upstream: nobody, fallback: {{ chain: keys }} }}\n\
         plugins: {{ keys: {{ source: std:api-key, config: {{ keys: {{ secret: alice }} }} }} }}\n\
         chains: {{ keys: [keys] }}\n\
         upstreams:\n  nobody: {{ endpoints: ['127.0.0.1:1'] }}\n  broken: {{ endpoints: ['{}'] }}\n  \
         other: {{ endpoints: ['{}'] }}\n  silent: {{ endpoints: ['{}'] }}\n",
        broken.address, other.address, silent.address
    ));
    let answer = get(gofe.address, "/refused", &[]);
    assert_eq!((answer.status, answer.header("x-a"), &*answer.body), (203, Some("b"), "sorry"));
    assert_eq!(get(gofe.address, "/status", &[]).body, "sorry");
    assert_eq!(get(gofe.address, "/fine", &[]).status, 503);
    assert_eq!(get(gofe.address, "/silent", &[]).body, "late");
    assert_eq!(post(gofe.address, "/other", &[], "the body").body, "thrown away");
    assert_eq!(told.recv_timeout(PATIENCE).expect("the second try"), "/other the body");
    assert_eq!(get(gofe.address, "/chain", &[]).status, 401, "the plugin answers");
    assert_eq!(get(gofe.address, "/chain", &[("x-api-key", "secret")]).status, 502, "no plugin answers");
}

#[test]
fn a_route_has_as_many_requests_in_flight_as_it_may() {
    let release = Arc::new(Notify::new());
    let arrived = Arc::new(AtomicUsize::new(0));
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let tell = Arc::new(tell);
    let up = Upstream::start({
        let (release, arrived) = (release.clone(), arrived.clone());
        move |_| {
            let (release, tell) = (release.clone(), tell.clone());
            arrived.fetch_add(1, Ordering::SeqCst);
            async move {
                tell.lock().unwrap().send(()).unwrap();
                release.notified().await;
                Response::new(full("done"))
            }
        }
    });
    let gofe = site("  - { match: { path: /a }, upstream: up, active-requests: 1 }\n", &[("up", &up)]);
    let address = gofe.address;
    let first = std::thread::spawn(move || request(address, "GET", "/a", &[], ""));
    told.recv_timeout(PATIENCE).expect("the first request is there");
    assert_eq!(get(gofe.address, "/a", &[]).status, 503);
    // A request that began before a reload is in flight after it.
    let file = gofe.folder().join("gofe.yaml");
    let yaml = std::fs::read_to_string(&file).unwrap() + "zone: elsewhere\n";
    std::fs::write(&file, yaml).unwrap();
    assert_eq!(gofe.tell("/reload").status, 200);
    assert_eq!(get(gofe.address, "/a", &[]).status, 503);
    release.notify_one();
    assert_eq!(first.join().unwrap().body, "done");
    gofe.counts("gofe_errors_total{reason=\"route-busy\"}", 2);
    release.notify_one();
    assert_eq!(get(gofe.address, "/a", &[]).body, "done");
    assert_eq!(arrived.load(Ordering::SeqCst), 2);
}
