//! HTTP/3: the same routes, chains and upstreams, by QUIC.

use bytes::Bytes;
use gofe_certificates::{Authority, Wanted};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response};
use tempfile::TempDir;

use crate::harness::quic::Quic;
use crate::harness::tls::{fetched, put};
use crate::harness::{Gofe, RawUpstream, Upstream};

const TLS: &str = "tls: { certificates: [{ certificate: file:site.pem, private-key: file:site.key }] }";
const ECHO: &str = "routes: [{ upstream: echo }]\nupstreams: { echo: { builtin: echo } }\n";

fn folder(authority: &Authority) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    put(folder.path(), "site", &authority.issue(&Wanted::server(&["site.test"])));
    folder
}

fn yaml(http3: &str, rest: &str) -> String {
    format!("listeners: [{{ address: '127.0.0.1:0', {TLS}, http3: {http3} }}]\n{rest}")
}

fn start(rest: &str) -> Gofe {
    Gofe::start_in(folder(&Authority::new("test")), &yaml("true", rest))
}

fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("https://site.test{path}"))
}

/// Answers with the request's body and trailers, in chunks as they come.
fn mirror() -> Upstream {
    Upstream::start(|request: Request<Incoming>| async move {
        let length = request.headers().contains_key("transfer-encoding");
        let body = request.into_body().map_err(std::io::Error::other).boxed();
        Response::builder().header("x-chunked", length.to_string()).body(body).unwrap()
    })
}

fn to(upstream: std::net::SocketAddr) -> String {
    format!("routes: [{{ upstream: up }}]\nupstreams: {{ up: {{ endpoints: ['{upstream}'] }} }}\n")
}

#[tokio::test]
async fn a_request_goes_the_way_of_all_others() {
    let gofe = start(ECHO);
    let mut client = Quic::connect(gofe.address, gofe.folder()).await;
    let get = request("GET", "/a?b=c").header("cookie", "a=1").header("cookie", "b=2").body(()).unwrap();
    let (head, body, _) = client.send(get, "").await;
    assert_eq!(head.status(), 200);
    assert!(head.headers().contains_key("date"));
    let seen: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let headers = &seen["headers"];
    assert!(seen.to_string().contains("/a?b=c"), "{seen}");
    assert_eq!(headers["cookie"], "a=1; b=2", "{seen}");
    assert_eq!((&headers["x-forwarded-proto"], &headers["host"]), (&"https".into(), &"site.test".into()), "{seen}");
    assert!(headers["transfer-encoding"].is_null(), "{seen}");
    gofe.counts(r#"gofe_requests_total{route="/**",code="2xx"}"#, 1);
    gofe.counts(r#"gofe_tls_handshakes_total{result="quic"}"#, 1);
}

#[tokio::test]
async fn bodies_go_both_ways() {
    let upstream = mirror();
    let gofe = start(&to(upstream.address));
    let mut client = Quic::connect(gofe.address, gofe.folder()).await;
    let whole = Bytes::from("0123456789abcdef".repeat(1 << 16));
    let (head, body, _) = client.send(request("POST", "/").body(()).unwrap(), whole.clone()).await;
    assert_eq!((head.status().as_u16(), body == whole), (200, true));
    let post = request("POST", "/").header("content-length", whole.len()).body(()).unwrap();
    let (head, body, _) = client.send(post, whole.clone()).await;
    assert_eq!((&head.headers()["x-chunked"], body == whole), (&"false".parse().unwrap(), true));
}

#[tokio::test]
async fn a_chunk_passes_before_the_next_is_written_and_trailers_follow_the_last() {
    let upstream = mirror();
    let gofe = start(&to(upstream.address).replace("{ endpoints", "{ protocol: http2, endpoints"));
    let mut client = Quic::connect(gofe.address, gofe.folder()).await;
    // Chunk by chunk: the next is written when the last has come back.
    let mut sent = client.begin(request("POST", "/").body(()).unwrap()).await;
    sent.0.send_data(Bytes::from_static(b"first")).await.unwrap();
    assert_eq!(sent.0.recv_response().await.unwrap().status(), 200);
    for next in ["second", "third"] {
        assert!(sent.0.recv_data().await.unwrap().is_some());
        sent.0.send_data(Bytes::from_static(next.as_bytes())).await.unwrap();
    }
    assert!(sent.0.recv_data().await.unwrap().is_some());
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "42".parse().unwrap());
    sent.0.send_trailers(trailers).await.unwrap();
    sent.0.finish().await.unwrap();
    assert!(sent.0.recv_data().await.unwrap().is_none());
    assert_eq!(sent.0.recv_trailers().await.unwrap().expect("trailers")["x-sum"], "42");
}

#[tokio::test]
async fn what_http11_forbids_never_reaches_an_upstream() {
    let upstream = RawUpstream::start();
    let gofe = start(&to(upstream.address));
    let mut client = Quic::connect(gofe.address, gofe.folder()).await;
    for (name, value) in
        [("transfer-encoding", "chunked"), ("connection", "close"), ("te", "gzip"), ("content-length", "+1")]
    {
        let mut sent = client.begin(request("POST", "/").header(name, value).body(()).unwrap()).await;
        assert!(sent.0.recv_response().await.is_err(), "{name}");
    }
    let mut sent = client.begin(request("POST", "/").header("content-length", "3").body(()).unwrap()).await;
    let _ = sent.0.send_data(Bytes::from_static(b"longer")).await;
    let _ = sent.0.finish().await;
    let head = sent.0.recv_response().await;
    assert!(head.as_ref().map_or(true, |head| head.status() == 400), "{head:?}");
    let many = (0..200).fold(request("GET", "/"), |many, n| many.header(format!("x-{n}"), "1"));
    assert_eq!(client.send(many.body(()).unwrap(), "").await.0.status(), 431);
}

#[tokio::test]
async fn a_client_that_gives_up_ends_the_request() {
    let upstream = RawUpstream::start();
    let gofe = start(&to(upstream.address));
    let mut client = Quic::connect(gofe.address, gofe.folder()).await;
    let mut sent = client.begin(request("POST", "/").body(()).unwrap()).await;
    sent.0.send_data(Bytes::from_static(b"half")).await.unwrap();
    let mut server = tokio::task::spawn_blocking(move || {
        let mut server = upstream.next();
        server.until("half");
        server
    })
    .await
    .unwrap();
    sent.0.stop_stream(h3::error::Code::H3_REQUEST_CANCELLED);
    let rest = tokio::task::spawn_blocking(move || server.rest()).await.unwrap();
    assert!(!rest.contains("0\r\n\r\n"), "the upstream must not take half a body for a whole: {rest:?}");
}

#[tokio::test]
async fn a_client_that_moves_keeps_its_connection() {
    let gofe = start(ECHO);
    let mut client = Quic::connect(gofe.address, gofe.folder()).await;
    for _ in 0..4 {
        assert_eq!(client.send(request("GET", "/").body(()).unwrap(), "").await.0.status(), 200);
        client.moves();
    }
    gofe.counts("gofe_connections_total", 1);
}

#[tokio::test]
async fn a_reload_brings_certificates_and_breaks_nothing() {
    let authority = Authority::new("test");
    let gofe = Gofe::start_in(folder(&authority), &yaml("true", ECHO));
    let mut client = Quic::connect(gofe.address, gofe.folder()).await;
    let issued = authority.issue(&Wanted::server(&["site.test"]));
    put(gofe.folder(), "site", &issued);
    // New connections get the new certificate from some moment on; no request fails meanwhile.
    loop {
        assert_eq!(client.send(request("GET", "/").body(()).unwrap(), "").await.0.status(), 200);
        if Quic::connect(gofe.address, gofe.folder()).await.certificate() == issued.der {
            break;
        }
    }
    assert_ne!(client.certificate(), issued.der);
}

#[tokio::test]
async fn a_drain_answers_what_was_begun_and_ends_the_connection() {
    let upstream = RawUpstream::start();
    let mut gofe = start(&to(upstream.address));
    let mut client = Quic::connect(gofe.address, gofe.folder()).await;
    let mut sent = client.begin(request("GET", "/").body(()).unwrap()).await;
    sent.0.finish().await.unwrap();
    let mut server = tokio::task::spawn_blocking(move || {
        let mut server = upstream.next();
        server.head();
        server
    })
    .await
    .unwrap();
    gofe.signal("TERM");
    gofe.logged("gofe drains");
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!(sent.whole().await.1, b"hello");
    drop((sent, server));
    assert!(client.ended().await);
    assert_eq!(gofe.ended().code(), Some(0));
}

#[tokio::test]
async fn other_versions_say_where_http3_is() {
    let gofe = Gofe::start_in(folder(&Authority::new("test")), &yaml("{ advertised-port: 8443 }", ECHO));
    for version in ["--http1.1", "--http2"] {
        let head = fetched(&gofe, gofe.address, "site.test", &[version, "-D", "-", "-o", "/dev/null"]);
        assert!(head.contains("alt-svc: h3=\":8443\"; ma=86400\r\n"), "{head}");
    }
}
