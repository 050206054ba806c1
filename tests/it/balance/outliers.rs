//! Outlier detection.

use http::HeaderMap;
use hyper::body::Frame;

use super::*;
use crate::harness::{fed, request};

#[test]
fn one_that_fails_in_a_row_is_ejected_and_returns() {
    let (good, other, bad) = (named("good"), named("good"), failing(500));
    let gofe = Gofe::start(&format!(
        "routes: [{{ upstream: u }}]\nupstreams:\n  u:\n    endpoints: ['{}', '{}', '{}']\n    \
         outlier-detection: {{ consecutive-5xx: 3, base-ejection-time: 200ms, interval: 100ms }}\n",
        good.address, other.address, bad.address
    ));
    // Until it is ejected it is in turn; ejecting is the work of another thread.
    while !gofe.log().iter().any(|line| line.contains("an endpoint is ejected")) {
        answers(&gofe, 3, "/", &[]);
    }
    let line = gofe.logged("an endpoint is ejected");
    assert!(line.contains("consecutive-5xx") && line.contains(&bad.address.to_string()), "{line}");
    gofe.counts("gofe_upstream_ejections_total{upstream=\"u\",cause=\"consecutive-5xx\"}", 1);
    gofe.logged("an endpoint returns from its ejection");
    assert_eq!(endpoints(&gofe)[2]["health"], "healthy");
}

#[test]
fn an_ejected_endpoint_gets_nothing() {
    let (good, other, bad) = (named("good"), named("good"), failing(503));
    let gofe = Gofe::start(&format!(
        "routes: [{{ upstream: u }}]\nupstreams:\n  u:\n    endpoints: ['{}', '{}', '{}']\n    \
         outlier-detection: {{ consecutive-5xx: 0, consecutive-gateway-failure: 2, base-ejection-time: 1h, max-ejection-time: 1h }}\n",
        good.address, other.address, bad.address
    ));
    while !gofe.log().iter().any(|line| line.contains("an endpoint is ejected")) {
        answers(&gofe, 3, "/", &[]);
    }
    gofe.counts("gofe_upstream_endpoints{upstream=\"u\",state=\"ejected\"}", 1);
    assert_eq!(shares(answers(&gofe, 30, "/", &[]))["good"], 30);
    let shown = endpoints(&gofe);
    assert_eq!(shown[2]["health"], "ejected");
    assert!(shown[2]["ejected_for"].as_f64().unwrap() > 3_500.0, "{shown:?}");
}

#[test]
fn the_slowest_is_ejected_by_its_latency() {
    let quick = [named("quick"), named("quick")];
    let slow = Upstream::start(|_| async {
        // What takes its time.
        let _ = tokio::time::timeout(std::time::Duration::from_millis(30), std::future::pending::<()>()).await;
        Response::new(full("slow"))
    });
    let gofe = Gofe::start(&format!(
        "routes: [{{ upstream: u }}]\nupstreams:\n  u:\n    endpoints: ['{}', '{}', '{}']\n    outlier-detection:\n      \
         consecutive-5xx: 0\n      latency: {{ minimum-requests: 3 }}\n      interval: 300ms\n      base-ejection-time: 1h\n      max-ejection-time: 1h\n",
        quick[0].address, quick[1].address, slow.address
    ));
    while !gofe.log().iter().any(|line| line.contains("an endpoint is ejected")) {
        answers(&gofe, 6, "/", &[]);
    }
    let line = gofe.logged("an endpoint is ejected");
    assert!(line.contains("latency") && line.contains(&slow.address.to_string()), "{line}");
}

/// A server of gRPC whose calls end with this status, in the header or in the trailers.
fn calls(status: &'static str, at_once: bool) -> Upstream {
    Upstream::start(move |_| async move {
        let mut fields = HeaderMap::new();
        fields.insert("grpc-status", status.parse().unwrap());
        let response = Response::builder().header("content-type", "application/grpc");
        if at_once {
            let mut response = response.body(full("")).unwrap();
            response.headers_mut().extend(fields);
            return response;
        }
        let (feed, body) = fed();
        feed.try_send(Ok(Frame::trailers(fields))).unwrap();
        response.body(body).unwrap()
    })
}

#[test]
fn calls_are_judged_by_their_own_status() {
    for at_once in [true, false] {
        let (good, bad) = (calls("0", at_once), calls("14", at_once));
        // What the caller did wrong is nothing against the endpoint.
        let asked_wrong = calls("3", at_once);
        let gofe = Gofe::start(&format!(
            "routes: [{{ upstream: u }}]\nupstreams:\n  u:\n    endpoints: ['{}', '{}', '{}']\n    protocol: http2\n    \
             outlier-detection: {{ consecutive-5xx: 0, consecutive-gateway-failure: 3, base-ejection-time: 1h, \
             max-ejection-time: 1h, max-ejection-percent: 100% }}\n",
            good.address, asked_wrong.address, bad.address
        ));
        let call = [("content-type", "application/grpc"), ("te", "trailers")];
        while !gofe.log().iter().any(|line| line.contains("an endpoint is ejected")) {
            request(gofe.address, "POST", "/", &call, "");
        }
        let line = gofe.logged("an endpoint is ejected");
        assert!(line.contains(&bad.address.to_string()), "{at_once}: {line}");
        gofe.counts("gofe_upstream_endpoints{upstream=\"u\",state=\"ejected\"}", 1);
    }
}
