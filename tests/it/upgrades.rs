//! Upgrades: WebSocket by HTTP/1.1 and HTTP/2, other protocols where a route names them, and what ends a tunnel.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Gofe, RawUpstream, Script, Upstream, Wire, python, ran};

const SCRIPT: &str = "upgrades/websocket.py";
const ASK: &str = "GET /a HTTP/1.1\r\nhost: test\r\nconnection: keep-alive, Upgrade\r\nupgrade: chat\r\n\r\n";

fn site(upstream: SocketAddr, route: &str, settings: &str) -> Gofe {
    Gofe::start(&format!(
        "{settings}routes: [{{ upstream: up{route} }}]\nupstreams: {{ up: {{ endpoints: ['{upstream}'] }} }}\n"
    ))
}

/// A tunnel of the protocol `chat`, and both its ends.
fn tunnel(settings: &str) -> (Gofe, Wire, Wire) {
    let upstream = RawUpstream::start();
    let gofe = site(upstream.address, ", upgrades: [chat]", settings);
    let mut client = Wire::connect(gofe.address);
    client.send(ASK);
    let mut server = upstream.next();
    let head = server.head().to_ascii_lowercase();
    assert!(head.contains("\r\nupgrade: chat\r\n") && head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    // Bytes that come with the answer belong to the tunnel.
    server.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: chat\r\nconnection: upgrade\r\nx-room: 7\r\n\r\nhello ");
    let head = client.head().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("\r\nx-room: 7\r\n"), "{head}");
    assert!(head.contains("\r\nupgrade: chat\r\n") && head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    client.until("hello ");
    (gofe, client, server)
}

#[test]
fn a_websocket_client_of_another_language_gets_its_frames_back() {
    let Some(python) = python() else { return };
    let server = Script::start(&python, SCRIPT, &["server"]);
    let gofe = site(server.address, "", "");
    let printed = ran(&python, SCRIPT, &["client", &format!("ws://{}/chat", gofe.address)]);
    assert_eq!(printed.trim(), "all frames came back");
    gofe.counts(r#"gofe_tunnels_total{end="closed"}"#, 2);
}

#[test]
fn the_server_learns_of_the_client() {
    let Some(python) = python() else { return };
    let server = Script::start(&python, SCRIPT, &["server"]);
    let gofe = site(server.address, "", "");
    let printed = ran(&python, SCRIPT, &["headers", &format!("ws://{}/headers", gofe.address)]);
    let headers = printed.to_ascii_lowercase();
    assert!(headers.contains(r#"["x-forwarded-for", "127.0.0.1"]"#), "{headers}");
    assert!(headers.contains(r#"["connection", "upgrade"]"#) && headers.contains(r#"["upgrade", "websocket"]"#));
}

#[test]
fn bytes_go_both_ways_and_each_side_may_end_first() {
    let (gofe, mut client, mut server) = tunnel("");
    client.send("ping");
    server.until("ping");
    server.last("bye");
    client.until("bye");
    client.last("still here");
    assert_eq!(server.rest(), "still here");
    assert_eq!(client.rest(), "");
    gofe.counts(r#"gofe_tunnels_total{end="closed"}"#, 1);
    gofe.counts(r#"gofe_requests_total{route="/**",code="1xx"}"#, 1);
}

#[test]
fn the_log_has_the_bytes_when_the_tunnel_ends() {
    let upstream = RawUpstream::start();
    let log = "plugins: { log: { source: std:access-log, config: { fields: [status, request_bytes, response_bytes, error] } } }\n\
               chains: { all: [log] }\n";
    let mut gofe = site(upstream.address, ", upgrades: [chat], chain: all", log);
    let mut client = Wire::connect(gofe.address);
    client.send(ASK);
    let mut server = upstream.next();
    server.head();
    server.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: chat\r\nconnection: upgrade\r\n\r\n1234567");
    client.until("1234567");
    client.last("12345");
    server.until("12345");
    server.last("");
    client.rest();
    gofe.counts(r#"gofe_tunnels_total{end="closed"}"#, 1);
    gofe.signal("TERM");
    assert!(gofe.ended().success());
    assert_eq!(gofe.stdout().trim(), r#"{"status":101,"request_bytes":5,"response_bytes":7,"error":null}"#);
}

#[test]
fn an_answer_that_refuses_passes_on() {
    let refuses = RawUpstream::answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
    let gofe = site(refuses, ", upgrades: [chat]", "");
    let mut client = Wire::connect(gofe.address);
    client.send(ASK);
    assert!(client.head().starts_with("HTTP/1.1 403 "));
    client.until("no");
    client.send(ASK);
    assert!(client.head().starts_with("HTTP/1.1 403 "), "the connection serves on");
}

#[test]
fn what_the_route_does_not_name_is_an_ordinary_request() {
    for (route, ask) in [
        ("", ASK),
        (", upgrades: []", "GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
    ] {
        let upstream = RawUpstream::start();
        let gofe = site(upstream.address, route, "");
        let mut client = Wire::connect(gofe.address);
        client.send(ask);
        let mut server = upstream.next();
        let head = server.head().to_ascii_lowercase();
        assert!(!head.contains("upgrade"), "{head}");
        server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        client.until("ok");
    }
}

#[test]
fn an_upgrade_to_http2_in_cleartext_is_ignored() {
    let upstream = Upstream::text("ok");
    let gofe = site(upstream.address, "", "");
    let mut client = Wire::connect(gofe.address);
    client.send("GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n");
    assert!(client.until("ok").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_closed() {
    let (gofe, mut client, mut server) = tunnel("timeouts: { idle: 300ms }\n");
    assert_eq!(client.rest(), "");
    assert_eq!(server.rest(), "");
    gofe.counts(r#"gofe_tunnels_total{end="tunnel-idle"}"#, 1);
}

#[test]
fn a_drain_waits_for_tunnels() {
    let (mut gofe, mut client, mut server) = tunnel("");
    gofe.signal("TERM");
    gofe.logged("gofe drains");
    client.send("more");
    server.until("more");
    server.last("bye");
    client.until("bye");
    client.last("");
    server.rest();
    assert_eq!(gofe.ended().code(), Some(0));
}

#[test]
fn a_drain_that_is_over_cuts_tunnels() {
    let (mut gofe, mut client, _server) = tunnel("timeouts: { drain: 100ms }\n");
    gofe.signal("TERM");
    client.rest();
    assert_eq!(gofe.ended().code(), Some(0));
}

/// Asks for a tunnel by HTTP/2; its bytes where it is granted, or else the status.
async fn by_http2(gofe: SocketAddr, protocol: &'static str) -> Result<TokioIo<hyper::upgrade::Upgraded>, u16> {
    let stream = tokio::net::TcpStream::connect(gofe).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    // The server's settings say that it knows how; they have come with the first answer.
    let plain = Request::get("http://test/plain").body(Empty::<Bytes>::new()).unwrap();
    sender.send_request(plain).await.unwrap();
    let request = Request::connect("http://test/chat").header("sec-websocket-version", "13");
    let request = request.header("sec-websocket-protocol", "chat");
    let request = request.extension(Protocol::from_static(protocol)).body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    match response.status().as_u16() {
        200 => Ok(TokioIo::new(hyper::upgrade::on(response).await.unwrap())),
        status => Err(status),
    }
}

#[tokio::test]
async fn a_websocket_by_http2_reaches_a_server_of_http1() {
    let Some(python) = python() else { return };
    let server = Script::start(&python, SCRIPT, &["server"]);
    let gofe = site(server.address, "", "");
    let mut tunnel = by_http2(gofe.address, "websocket").await.unwrap();
    // A text frame with a mask of zeros, and the same without a mask.
    tunnel.write_all(b"\x81\x85\0\0\0\0hello").await.unwrap();
    let mut frame = [0; 7];
    tunnel.read_exact(&mut frame).await.unwrap();
    assert_eq!(&frame, b"\x81\x05hello");
    // A close frame ends both.
    tunnel.write_all(b"\x88\x82\0\0\0\0\x03\xe8").await.unwrap();
    let mut rest = Vec::new();
    tunnel.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"\x88\x02\x03\xe8");
    tunnel.shutdown().await.unwrap();
    gofe.counts(r#"gofe_tunnels_total{end="closed"}"#, 1);
}

#[tokio::test]
async fn a_tunnel_by_http2_that_no_route_names_is_refused() {
    let upstream = Upstream::text("ok");
    let gofe = site(upstream.address, "", "");
    assert_eq!(by_http2(gofe.address, "connect-udp").await.unwrap_err(), 501);
    gofe.counts(r#"gofe_errors_total{reason="upgrade-refused"}"#, 1);
}
