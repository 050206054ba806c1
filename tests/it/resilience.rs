//! Upstreams that fail, and what clients see meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response};

use crate::harness::{Body, Gofe, KeepAlive, RawUpstream, Upstream, full, get, nobody, post};

/// An endpoint that counts, and answers with this status.
fn answering(status: u16) -> (Upstream, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counter = count.clone();
    let upstream = Upstream::start(move |request: Request<Incoming>| {
        counter.fetch_add(1, SeqCst);
        async move { Response::builder().status(status).body(echo(request).await).unwrap() }
    });
    (upstream, count)
}

/// The request's body.
async fn echo(request: Request<Incoming>) -> Body {
    let bytes = request.into_body().collect().await.unwrap().to_bytes();
    http_body_util::Full::new(bytes).map_err(|never: std::convert::Infallible| match never {}).boxed()
}

/// An upstream of these addresses; `route` and `upstream` are more of their keys.
fn yaml(addresses: &[SocketAddr], route: &str, upstream: &str) -> String {
    let addresses: Vec<String> = addresses.iter().map(|address| format!("'{address}'")).collect();
    format!(
        "workers: 1\nroutes: [{{ upstream: users{route} }}]\n\
         upstreams: {{ users: {{ endpoints: [{}]{upstream} }} }}\n",
        addresses.join(", ")
    )
}

const RETRY: &str = ", retry: { attempts: 3, on: [5xx], backoff: { base: 1ms } }";
const MUCH: &str = ", retry-budget: { share: 1000% }";

#[test]
fn a_failed_try_is_repeated_at_another_endpoint() {
    let ((bad, bad_count), (good, _)) = (answering(500), answering(200));
    let gofe = Gofe::start(&yaml(&[bad.address, good.address, nobody()], RETRY, MUCH));
    let mut client = KeepAlive::connect(gofe.address);
    for _ in 0..20 {
        assert_eq!(client.get("/", &[]).status, 200);
    }
    assert!(bad_count.load(SeqCst) > 0);
    let metrics = gofe.ask("/metrics").body;
    assert!(metrics.contains(r#"gofe_upstream_events_total{upstream="users",event="retry"}"#), "{metrics}");
}

#[test]
fn a_body_is_sent_again_where_that_is_allowed() {
    let ((bad, _), (good, _)) = (answering(503), answering(200));
    let addresses = [bad.address, good.address];
    let gofe = Gofe::start(&yaml(&addresses, RETRY, MUCH));
    let mut statuses: Vec<u16> = (0..2).map(|_| post(gofe.address, "/", &[], "some body").status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503], "a POST is not repeated");
    let route = ", retry: { on: [503], non-idempotent: true, body-size: 10, backoff: { base: 1ms } }";
    let gofe = Gofe::start(&yaml(&addresses, route, MUCH));
    for _ in 0..4 {
        let answer = post(gofe.address, "/", &[], "some body");
        assert_eq!((answer.status, &*answer.body), (200, "some body"));
    }
    let mut statuses: Vec<u16> = (0..2).map(|_| post(gofe.address, "/", &[], "a body too long").status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503], "what is too long to be kept is not repeated");
}

#[test]
fn retries_do_not_become_a_storm() {
    let endpoints = [answering(500), answering(500), answering(500)];
    let addresses = endpoints.each_ref().map(|(endpoint, _)| endpoint.address);
    let gofe = Gofe::start(&yaml(&addresses, RETRY, ", retry-budget: { minimum: 0 }"));
    let mut client = KeepAlive::connect(gofe.address);
    for _ in 0..500 {
        assert_eq!(client.get("/", &[]).status, 500);
    }
    let tries: u64 = endpoints.iter().map(|(_, count)| count.load(SeqCst)).sum();
    assert!((500..=600).contains(&tries), "{tries} tries for 500 requests");
}

#[test]
fn retry_after_is_honoured_up_to_its_bound() {
    let endpoint = Upstream::start(|_| async {
        Response::builder().status(503).header("retry-after", "60").body(full("busy")).unwrap()
    });
    let gofe = Gofe::start(&yaml(&[endpoint.address], RETRY, MUCH));
    assert_eq!(get(gofe.address, "/", &[]).header("retry-after"), Some("60"));
    assert!(!gofe.ask("/metrics").body.contains(r#"event="retry""#), "a minute is too long to wait");
}

#[test]
fn a_try_that_hangs_is_given_up_for_another() {
    let silent = RawUpstream::start();
    let (good, _) = answering(200);
    let route = ", retry: { per-try-timeout: 50ms, on: [timeout], backoff: { base: 1ms } }";
    let gofe = Gofe::start(&yaml(&[silent.address, good.address], route, MUCH));
    let mut client = KeepAlive::connect(gofe.address);
    for _ in 0..4 {
        assert_eq!(client.get("/", &[]).status, 200);
    }
    assert!(!silent.is_untouched());
    let gofe = Gofe::start(&yaml(&[silent.address], "", ", response-timeout: 50ms"));
    assert_eq!(get(gofe.address, "/", &[]).status, 504);
    gofe.logged("no response from");
}

#[test]
fn a_slow_try_gets_a_rival() {
    let silent = RawUpstream::start();
    let (good, _) = answering(200);
    let gofe = Gofe::start(&yaml(&[silent.address, good.address], ", hedge: { delay: 20ms }", MUCH));
    let mut client = KeepAlive::connect(gofe.address);
    for _ in 0..4 {
        assert_eq!(client.get("/", &[]).status, 200);
    }
    assert!(gofe.ask("/metrics").body.contains(r#"gofe_upstream_events_total{upstream="users",event="hedge"}"#));
}

#[test]
fn a_body_that_stands_still_breaks_off() {
    let upstream = RawUpstream::start();
    let gofe = Gofe::start(&yaml(&[upstream.address], "", ", response-idle-timeout: 50ms"));
    let mut client = KeepAlive::connect(gofe.address);
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut wire = upstream.next();
    wire.head();
    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nbegin");
    assert!(client.answer().is_err());
}

#[test]
fn a_breaker_opens_and_closes() {
    let broken = Arc::new(AtomicBool::new(true));
    let count = Arc::new(AtomicU64::new(0));
    let (state, counter) = (broken.clone(), count.clone());
    let endpoint = Upstream::start(move |_| {
        counter.fetch_add(1, SeqCst);
        let status = if state.load(SeqCst) { 500 } else { 200 };
        async move { Response::builder().status(status).body(full("")).unwrap() }
    });
    let breaker = ", circuit-breaker: { consecutive-failures: 3, open-for: 500ms, probes: 2 }";
    let gofe = Gofe::start(&yaml(&[endpoint.address], "", breaker));
    let mut client = KeepAlive::connect(gofe.address);
    let statuses: Vec<u16> = (0..6).map(|_| client.get("/", &[]).status).collect();
    assert_eq!((statuses, count.load(SeqCst)), (vec![500, 500, 500, 503, 503, 503], 3));
    assert_eq!(gofe.ask("/upstreams").json()[0]["circuit_breaker"], "open");
    gofe.logged("a circuit breaker opens");
    broken.store(false, SeqCst);
    while client.get("/", &[]).status != 200 {}
    assert_eq!(client.get("/", &[]).status, 200);
    assert_eq!(gofe.ask("/upstreams").json()[0]["circuit_breaker"], "closed");
    gofe.counts(r#"gofe_upstream_events_total{upstream="users",event="breaker-closed"}"#, 1);
}

#[test]
fn the_breaker_of_an_endpoint_leaves_the_others() {
    let ((bad, bad_count), (good, _)) = (answering(500), answering(200));
    let breaker = ", endpoint-circuit-breaker: { consecutive-failures: 2, open-for: 1h }";
    let gofe = Gofe::start(&yaml(&[bad.address, good.address], "", breaker));
    let mut client = KeepAlive::connect(gofe.address);
    let failed = (0..40).filter(|_| client.get("/", &[]).status != 200).count();
    assert_eq!((failed, bad_count.load(SeqCst)), (2, 2));
    assert!(gofe.ask("/upstreams").body.contains(r#""circuit_breaker": "open""#));
}

#[test]
fn requests_over_a_limit_are_refused() {
    let upstream = RawUpstream::start();
    let gofe = Gofe::start(&yaml(&[upstream.address], "", ", limits: { requests: 1 }"));
    let mut first = KeepAlive::connect(gofe.address);
    first.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut wire = upstream.next();
    wire.head();
    assert_eq!(get(gofe.address, "/", &[]).status, 503);
    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    assert_eq!(first.answer().unwrap().body, "ok");
}

#[test]
fn requests_wait_for_a_connection() {
    let upstream = RawUpstream::start();
    let gofe = Gofe::start(&yaml(&[upstream.address], "", ", limits: { connections: 1, pending: 1 }"));
    let mut first = KeepAlive::connect(gofe.address);
    first.send("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut wire = upstream.next();
    assert!(wire.head().starts_with("GET /1 "));
    let address = gofe.address;
    let others = [(); 2].map(|()| std::thread::spawn(move || get(address, "/other", &[]).status));
    // One waits, and the one behind it is refused.
    gofe.counts(r#"gofe_upstream_events_total{upstream="users",event="over-connections"}"#, 1);
    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none");
    assert_eq!(first.answer().unwrap().body, "one");
    assert!(wire.head().starts_with("GET /other "), "the connection is used again");
    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo");
    let mut statuses = others.map(|other| other.join().unwrap());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
}

/// An endpoint in a process of its own, on this port or a free one.
fn process(port: u16) -> Gofe {
    Gofe::start(&format!(
        "listeners: [{{ address: '127.0.0.1:{port}' }}]\n\
         routes: [{{ upstream: echo }}]\nupstreams: {{ echo: {{ builtin: echo }} }}\n"
    ))
}

/// Sends requests until it is told to stop; how many there were, all of them answered with 200.
fn load(address: SocketAddr, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut client = KeepAlive::connect(address);
        let mut count = 0;
        while !stop.load(SeqCst) {
            let answer = client.get("/", &[]);
            assert_eq!(answer.status, 200, "{answer:?} after {count}");
            count += 1;
        }
        count
    })
}

#[test]
fn endpoints_that_are_killed_or_restarted_cost_no_idempotent_request() {
    let mut endpoints: Vec<Gofe> = (0..3).map(|_| process(0)).collect();
    let addresses: Vec<SocketAddr> = endpoints.iter().map(|endpoint| endpoint.address).collect();
    let route = ", retry: { attempts: 4, on: [connect-failure, reset, gateway-error], backoff: { base: 5ms } }";
    let gofe = Gofe::start(&yaml(&addresses, route, MUCH));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4).map(|_| load(gofe.address, stop.clone())).collect();
    gofe.ask("/upstreams");
    // One is killed and comes back; then each is told to end and comes back.
    for (at, signal) in [(0, "KILL"), (0, "TERM"), (1, "TERM"), (2, "TERM")] {
        endpoints[at].signal(signal);
        endpoints[at].ended();
        let port = addresses[at].port();
        endpoints[at] = process(port);
    }
    stop.store(true, SeqCst);
    let count: u64 = clients.into_iter().map(|client| client.join().expect("no request fails")).sum();
    assert!(count > 0);
}
