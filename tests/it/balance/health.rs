//! Active health checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::*;
use crate::harness::RawUpstream;

fn yaml(endpoints: &str, health: &str) -> String {
    format!("routes: [{{ upstream: u }}]\nupstreams: {{ u: {{ endpoints: [{endpoints}], health: {health} }} }}\n")
}

#[test]
fn an_endpoint_goes_and_comes_back_with_its_health() {
    let well = Arc::new(AtomicBool::new(true));
    let state = well.clone();
    let sick = Upstream::start(move |request| {
        let well = state.load(Relaxed);
        async move {
            let check = request.uri().path() == "/healthz";
            Response::new(full(if check && !well { "no" } else { "a" }))
        }
    });
    let good = Upstream::start(|_| async { Response::new(full("a")) });
    let other = named("a");
    let list = format!("'{}', '{}', '{}'", sick.address, good.address, other.address);
    let health = "{ http: { path: /healthz, body: a }, interval: 20ms, healthy-after: 2, unhealthy-after: 2 }";
    let gofe = Gofe::start(&yaml(&list, health));
    gofe.counts("gofe_upstream_endpoints{upstream=\"u\",state=\"healthy\"}", 3);
    well.store(false, Relaxed);
    let line = gofe.logged("an endpoint is unhealthy: the body does not have the expected text");
    assert!(line.contains(&sick.address.to_string()), "{line}");
    let shown = endpoints(&gofe);
    assert_eq!(shown[0]["health"], "unhealthy");
    assert_eq!(shown[0]["check_error"], "the body does not have the expected text");
    gofe.counts("gofe_upstream_endpoints{upstream=\"u\",state=\"unhealthy\"}", 1);
    let before = &endpoints(&gofe)[0]["total"];
    answers(&gofe, 10, "/", &[]);
    assert_eq!(&endpoints(&gofe)[0]["total"], before);
    well.store(true, Relaxed);
    gofe.logged("an endpoint is healthy");
    assert_eq!(endpoints(&gofe)[0]["health"], "healthy");
}

#[test]
fn a_check_that_is_never_answered_is_a_failure_and_holds_up_nothing() {
    // It accepts, and never says anything.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let good = named("good");
    let list = format!("'{}', '{}'", silent.local_addr().unwrap(), good.address);
    let gofe = Gofe::start(&yaml(&list, "{ http: /, interval: 20ms, timeout: 20ms, unhealthy-after: 2 }"));
    gofe.logged("an endpoint is unhealthy: no answer within 20ms");
    assert_eq!(shares(answers(&gofe, 10, "/", &[]))["good"], 10);
}

#[test]
fn tcp_checks_ask_for_a_connection() {
    let (good, gone) = (named("good"), crate::harness::nobody());
    let gofe = Gofe::start(&yaml(&format!("'{}', '{gone}'", good.address), "{ tcp: true, interval: 20ms }"));
    gofe.logged("an endpoint is unhealthy: no connection");
    assert_eq!(endpoints(&gofe)[1]["health"], "unhealthy");
    assert_eq!(shares(answers(&gofe, 4, "/", &[]))["good"], 4);
}

#[test]
fn with_pessimism_nobody_is_asked_before_the_first_check() {
    let raw = RawUpstream::start();
    let gofe = Gofe::start(&yaml(&format!("'{}'", raw.address), "{ http: /, interval: 20ms, initial: unhealthy }"));
    // The check waits for its answer; panic is what lets requests through meanwhile.
    let mut check = raw.next();
    assert!(check.head().contains("user-agent: gofe-health"));
    assert_eq!(endpoints(&gofe)[0]["health"], "unhealthy");
    check.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    gofe.logged("an endpoint is healthy");
}

/// An answer of the gRPC health checking protocol with this status.
fn grpc(status: u8) -> Upstream {
    Upstream::start(move |request| async move {
        use http_body_util::BodyExt;
        use hyper::body::Bytes;
        let path = request.uri().path().to_owned();
        let asked = request.into_body().collect().await.unwrap().to_bytes();
        let right = path == "/grpc.health.v1.Health/Check" && asked.ends_with(b"users.Users");
        let message = Bytes::from(vec![0, 0, 0, 0, 2, 8, if right { status } else { 0 }]);
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let body = http_body_util::Full::new(message).with_trailers(async { Some(Ok(trailers)) });
        let body = body.map_err(|never: std::convert::Infallible| match never {}).boxed();
        Response::builder().header("content-type", "application/grpc").body(body).unwrap()
    })
}

#[test]
fn grpc_checks_ask_for_the_service() {
    let (serving, not_serving) = (grpc(1), grpc(2));
    let gofe = Gofe::start(&format!(
        "routes: [{{ upstream: u }}]\nupstreams:\n  u:\n    protocol: http2\n    endpoints: ['{}', '{}']\n    \
         health: {{ grpc: {{ service: users.Users }}, interval: 20ms, initial: unhealthy }}\n",
        serving.address, not_serving.address
    ));
    gofe.logged("an endpoint is healthy");
    gofe.counts("gofe_upstream_endpoints{upstream=\"u\",state=\"healthy\"}", 1);
    let shown = endpoints(&gofe);
    assert_eq!((&shown[0]["health"], &shown[1]["health"]), (&"healthy".into(), &"unhealthy".into()));
}
