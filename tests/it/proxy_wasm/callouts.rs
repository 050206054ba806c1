//! Callouts over HTTP and gRPC, to hosts and upstreams that YAML grants.

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::Response;

use super::{ask, at, gofe, gofe_at, said};
use crate::harness::{Upstream, full};

// covers proxy-wasm: proxy_continue_stream, proxy_http_call
// covers proxy-wasm: proxy_on_http_call_response
#[test]
fn a_call_goes_to_a_granted_host_and_its_answer_comes_back() {
    let upstream = Upstream::start(|request| async move {
        assert_eq!((request.uri().path(), request.method().as_str()), ("/called", "POST"));
        assert_eq!(request.headers()["x-sent"], "yes");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, &b"asked"[..]);
        Response::builder().status(202).body(full("answered")).unwrap()
    });
    let address = upstream.address.to_string();
    let gofe = gofe(&format!("allow: {{ http: ['{address}'] }}"));
    assert_eq!(said(&gofe, "call", &[("x-target", &address)]), "202|202|false|true|answered");
    let seen = ask(&gofe, "call-resume", &[("x-target", &address)]).json().to_string();
    assert!(seen.contains("x-called") && seen.contains("answered"), "{seen}");
    assert_eq!(said(&gofe, "call", &[("x-target", "127.0.0.1:1")]), "BadArgument");
    gofe.logged("which the configuration does not grant");
}

#[test]
fn a_call_goes_to_a_granted_upstream_by_its_name() {
    let upstream = Upstream::text("by name");
    let gofe = gofe_at("allow: { http: [u] }", &at(&upstream));
    assert_eq!(said(&gofe, "call", &[("x-target", "u")]), "200|200|false|true|by name");
    assert_eq!(said(&gofe, "call", &[("x-target", "canary")]), "BadArgument");
    assert_eq!(said(&gofe, "call", &[("x-target", "u"), ("x-method", "CONNECT")]), "BadArgument");
}

#[test]
fn a_call_that_fails_is_told_without_headers() {
    let nobody = crate::harness::nobody().to_string();
    let gofe = gofe(&format!("allow: {{ http: ['{nobody}'] }}"));
    let answer = said(&gofe, "call", &[("x-target", &nobody)]);
    assert!(answer.starts_with("|0|true|true|"), "{answer}");
}

/// A gRPC server: says every message back.
fn grpc() -> Upstream {
    Upstream::start(|request| async move {
        assert_eq!(request.headers()["content-type"], "application/grpc");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        trailers.insert("x-trailing", "t".parse().unwrap());
        let body = Full::new(body).with_trailers(async move { Some(Ok(trailers)) });
        let body = body.map_err(|never| match never {}).boxed();
        Response::builder().header("x-initial", "i").header("content-type", "application/grpc").body(body).unwrap()
    })
}

// covers proxy-wasm: proxy_grpc_call, proxy_grpc_stream, proxy_grpc_send, proxy_grpc_cancel, proxy_grpc_close
// covers proxy-wasm: proxy_on_grpc_receive_initial_metadata, proxy_on_grpc_receive, proxy_on_grpc_receive_trailing_metadata
#[test]
fn grpc_calls_and_streams_bring_messages_and_metadata() {
    let upstream = grpc();
    let address = upstream.address.to_string();
    let gofe = gofe(&format!("allow: {{ http: ['{address}'] }}"));
    assert_eq!(said(&gofe, "grpc", &[("x-target", &address)]), "0|hello|");
    let heard = "initial i;message one;message two;trailing t;closed 0";
    assert_eq!(said(&gofe, "grpc-stream", &[("x-target", &address)]), heard);
    assert_eq!(said(&gofe, "grpc-cancel", &[("x-target", &address)]), "cancelled");
    assert_eq!(said(&gofe, "grpc", &[("x-target", "127.0.0.1:1")]), "Err(ParseFailure)");
}

// covers proxy-wasm: proxy_get_status
// covers proxy-wasm: proxy_on_grpc_close
#[test]
fn a_grpc_call_that_fails_has_its_status_and_message() {
    let upstream = Upstream::start(|_| async {
        let response = Response::builder().header("grpc-status", "5").header("grpc-message", "not%20here");
        let mut body = BytesMut::new();
        body.put_slice(b"");
        response.body(Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed()).unwrap()
    });
    let address = upstream.address.to_string();
    let gofe = gofe(&format!("allow: {{ http: ['{address}'] }}"));
    assert_eq!(said(&gofe, "grpc", &[("x-target", &address)]), "5||not here");
}
