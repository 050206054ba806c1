//! Bodies and trailers: streamed, held back, changed, refused.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper::{Request, Response};

use super::{ask, at, gofe, gofe_at};
use crate::harness::{Peer, Upstream, Wire, fed, full, post, text};

fn posted(gofe: &crate::harness::Gofe, how: &str, body: &str) -> serde_json::Value {
    post(gofe.address, "/", &[("x-test", "none"), ("x-body", how)], body).json()
}

#[test]
fn a_request_without_a_body_says_so_with_its_headers() {
    let gofe = gofe("config: x");
    assert_eq!(ask(&gofe, "end", &[]).body, "true");
    assert_eq!(post(gofe.address, "/", &[("x-test", "end")], "body").body, "false");
}

// covers proxy-wasm: proxy_set_buffer_bytes
// covers proxy-wasm: proxy_on_request_body
#[test]
fn request_bodies_are_held_back_and_changed() {
    let gofe = gofe("config: x");
    // Who leaves Content-Length as it is cannot change a body's length: the request is refused, and not sent cut off.
    let answer = post(gofe.address, "/", &[("x-test", "none"), ("x-body", "buffer")], "body");
    assert_ne!(answer.status, 200, "{}", answer.body);
    let mut wire = Wire::connect(gofe.address);
    wire.send("POST / HTTP/1.1\r\nhost: a\r\nx-body: buffer\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n4\r\n and\r\n0\r\n\r\n");
    assert!(wire.head().starts_with("HTTP/1.1 200"));
    assert!(wire.until("[body and]").contains("[body and]"));
}

#[test]
fn bodies_that_pass_keep_their_length() {
    let gofe = gofe("config: x");
    let seen = posted(&gofe, "", "body");
    assert_eq!(seen["body"].as_str(), Some("body"), "{seen}");
    assert!(seen.to_string().contains("content-length"), "{seen}");
    let upstream = Upstream::text("short");
    let answer = ask(&gofe_at("config: x", &at(&upstream)), "none", &[]);
    assert_eq!((answer.header("content-length"), answer.body.as_str()), (Some("5"), "short"));
}

#[test]
fn a_body_can_be_refused() {
    let gofe = gofe("config: x");
    let answer = post(gofe.address, "/", &[("x-test", "none"), ("x-body", "refuse")], "body");
    assert_eq!((answer.status, answer.body.as_str()), (403, "not this body"));
}

#[test]
fn a_body_past_the_limit_is_not_held_back() {
    let gofe = gofe("limits: { body: 1KiB }");
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let mut wire = Wire::connect(gofe.address);
    wire.send("POST / HTTP/1.1\r\nhost: a\r\nx-body: buffer\r\ntransfer-encoding: chunked\r\n\r\n");
    wire.send(format!("{chunk}{chunk}0\r\n\r\n"));
    assert!(wire.head().starts_with("HTTP/1.1 413"));
}

// covers proxy-wasm: proxy_get_buffer_bytes
// covers proxy-wasm: proxy_on_response_body
#[test]
fn response_bodies_are_changed_whole_and_as_they_come() {
    let upstream = Upstream::text("from upstream");
    let gofe = gofe_at("config: x", &at(&upstream));
    assert_eq!(ask(&gofe, "none", &[("x-body", "upper-response")]).body, "FROM UPSTREAM");
    assert_eq!(ask(&gofe, "none", &[("x-body", "buffer-response")]).body, "<13>");
}

// covers proxy-wasm: proxy_on_request_trailers, proxy_on_response_trailers
#[tokio::test]
async fn trailers_are_seen_changed_and_added() {
    let upstream = Upstream::start(|request| async move {
        let collected = request.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let said = format!("{:?} {:?}", trailers.get("x-trailer"), trailers.get("x-added"));
        let mut back = http::HeaderMap::new();
        back.insert("x-back", "1".parse().unwrap());
        let body = http_body_util::Full::new(Bytes::from(said)).with_trailers(async move { Some(Ok(back)) });
        Response::new(body.map_err(|never| match never {}).boxed())
    });
    let upstream = format!("{{ endpoints: [{}], protocol: http2 }}", upstream.address);
    let gofe = gofe_at("config: x", &upstream);
    let mut peer = Peer::http2(gofe.address).await;
    let (feed, body) = fed();
    let request = Request::post("http://a/").header("x-body", "none").body(body).unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-trailer", "here".parse().unwrap());
    let feeding = async move {
        feed.send(Ok(Frame::data(Bytes::from_static(b"body")))).await.unwrap();
        feed.send(Ok(Frame::trailers(trailers))).await.unwrap();
    };
    let (answer, ()) = tokio::join!(peer.send(request), feeding);
    let answer = answer.into_body().collect().await.unwrap();
    let back = answer.trailers().cloned().unwrap_or_default();
    assert_eq!(back.get("x-counted").unwrap(), "1");
    assert_eq!(answer.to_bytes(), &b"Some(\"here, 1 seen\") None"[..]);
    let request = Request::post("http://a/").header("x-body", "trailers").body(full("body")).unwrap();
    let answer = text(peer.send(request).await.into_body()).await;
    assert_eq!(answer, "None Some(\"behind the body\")");
}
