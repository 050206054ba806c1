//! 0-RTT: requests that come with a client's first message, before anybody knows whether they are sent again by somebody
//! who has recorded them (RFC 8446, section 8; RFC 8470).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;

use gofe_certificates::{Authority, Wanted};
use hyper::{Request, Response};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};

use crate::harness::quic::Quic;
use crate::harness::tls::{Session, TlsClient, put};
use crate::harness::{Gofe, Upstream, full};

const TLS13: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
const ECHO: &str = "routes: [{ upstream: echo }]\nupstreams: { echo: { builtin: echo } }\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello";

/// A gofe with early data, unless `early` says otherwise.
fn start(early: &str, rest: &str) -> Gofe {
    let authority = Authority::new("test");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    put(folder.path(), "site", &authority.issue(&Wanted::server(&["site.test"])));
    let site = "certificates: [{ certificate: file:site.pem, private-key: file:site.key }]";
    let listeners = format!("listeners: [{{ address: '127.0.0.1:0', tls: {{ {site}{early} }}, http3: true }}]\n");
    Gofe::start_in(folder, &format!("{listeners}{rest}"))
}

/// A client that has been here before.
fn known(gofe: &Gofe) -> TlsClient {
    let client = TlsClient::new(&TLS13).eager();
    assert!(client.connect(gofe.address, "site.test").get("/").starts_with("HTTP/1.1 200"));
    client
}

#[test]
fn a_safe_request_is_answered_before_the_handshake_is_complete_and_says_so() {
    let gofe = start(", early-data: true", ECHO);
    let client = known(&gofe);
    let forged = "GET /a HTTP/1.1\r\nhost: test\r\nearly-data: 0\r\nearly-data: no\r\nconnection: early-data\r\n\r\n";
    let mut session = client.early(gofe.address, "site.test", forged);
    let answer = session.silently();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#""early-data":"1""#), "{answer}");
    // On the same connection, when it is complete.
    let answer = session.get("/b");
    assert!(answer.contains("/b") && !answer.contains("early-data"), "{answer}");
    assert!(session.try_ask(POST).unwrap().starts_with("HTTP/1.1 200"));
    gofe.counts(r#"gofe_tls_handshakes_total{result="early-data"}"#, 1);
}

#[test]
fn what_is_not_safe_must_be_asked_for_again() {
    let (reached, mut requests) = mpsc::unbounded_channel();
    let upstream = Upstream::start(move |request: Request<_>| {
        reached.send(request.method().to_string()).unwrap();
        async { Response::new(full("done")) }
    });
    let yaml =
        format!("routes: [{{ upstream: up }}]\nupstreams: {{ up: {{ endpoints: ['{}'] }} }}\n", upstream.address);
    let gofe = start(", early-data: { size: 4KiB, sessions: 100 }", &yaml);
    let client = known(&gofe);
    assert_eq!(requests.blocking_recv().as_deref(), Some("GET"));
    let mut session = client.early(gofe.address, "site.test", POST);
    assert!(session.silently().starts_with("HTTP/1.1 425 Too Early\r\n"));
    assert!(session.try_ask(POST).unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(requests.blocking_recv().as_deref(), Some("POST"));
    // A change of protocol is nothing to do twice either.
    let upgrade = "GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let mut session = client.early(gofe.address, "site.test", upgrade);
    assert!(session.silently().starts_with("HTTP/1.1 425 Too Early\r\n"));
    assert!(requests.try_recv().is_err(), "nothing but the POST that was sent again has reached the upstream");
    gofe.counts(r#"gofe_errors_total{reason="too-early"}"#, 2);
}

#[test]
fn what_an_upstream_says_of_it_is_passed_on_and_not_tried_again() {
    let upstream = Upstream::start(|request: Request<_>| {
        let early = request.headers().contains_key("early-data");
        async move { Response::builder().status(if early { 425 } else { 200 }).body(full("as you like")).unwrap() }
    });
    let yaml = format!(
        "routes: [{{ upstream: up, retry: {{ attempts: 3, on: [5xx] }} }}]\nupstreams: {{ up: {{ endpoints: ['{}'] }} }}\n",
        upstream.address
    );
    let gofe = start(", early-data: true", &yaml);
    let client = known(&gofe);
    let mut session = client.early(gofe.address, "site.test", "GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let answer = session.silently();
    assert!(answer.starts_with("HTTP/1.1 425 Too Early\r\n") && answer.ends_with("as you like"), "{answer}");
    assert!(session.get("/").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_recorded_message_is_good_once() {
    let gofe = start(", early-data: true", ECHO);
    let client = known(&gofe);
    gofe.counts(r#"gofe_requests_total{route="/**",code="2xx"}"#, 1);
    let request = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
    let (bytes, connection) = client.first_message("site.test", request).unwrap();
    let mut session = Session::sends(gofe.address, &bytes, connection);
    assert!(session.silently().starts_with("HTTP/1.1 200"));
    gofe.counts(r#"gofe_requests_total{route="/**",code="2xx"}"#, 2);
    for _ in 0..3 {
        let mut stream = TcpStream::connect(gofe.address).unwrap();
        stream.write_all(&bytes).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        // To the end: then all of it has been looked at.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    gofe.counts(r#"gofe_requests_total{route="/**",code="2xx"}"#, 2);
    gofe.counts(r#"gofe_tls_handshakes_total{result="early-data"}"#, 1);
}

#[test]
fn nobody_may_send_early_who_was_not_told_so() {
    let gofe = start("", ECHO);
    assert!(known(&gofe).first_message("site.test", "GET / HTTP/1.1\r\n\r\n").is_none());
    // Nor is a session lost for it: without early data it is resumed all the same.
    let gofe = start(", early-data: true", ECHO);
    let client = TlsClient::new(&TLS13);
    client.connect(gofe.address, "site.test").get("/");
    assert!(client.connect(gofe.address, "site.test").resumed());
    let older = TlsClient::new(&[&rustls::version::TLS12]);
    older.connect(gofe.address, "site.test").get("/");
    assert!(older.connect(gofe.address, "site.test").resumed());
}

#[test]
fn sessions_outlive_a_reload() {
    let gofe = start(", early-data: true", ECHO);
    let client = known(&gofe);
    assert_eq!(gofe.tell("/reload").status, 200);
    let mut session = client.early(gofe.address, "site.test", "GET /a HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(session.silently().starts_with("HTTP/1.1 200"));
}

#[test]
fn openssl_sends_early_data() {
    let gofe = start(", early-data: true", ECHO);
    let request = "GET /early HTTP/1.1\r\nhost: site.test\r\nconnection: close\r\n\r\n";
    std::fs::write(gofe.folder().join("request"), request).unwrap();
    let client = |arguments: &[&str], input: &str| {
        let mut command = Command::new("openssl");
        command.current_dir(gofe.folder()).args(["s_client", "-tls1_3", "-ign_eof", "-CAfile", "ca.pem"]);
        command.args(["-servername", "site.test", "-connect", &gofe.address.to_string()]).args(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("openssl");
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
    };
    client(&["-sess_out", "session"], request);
    let said = client(&["-sess_in", "session", "-early_data", "request"], "");
    assert!(said.contains("Early data was accepted"), "{said}");
    assert!(said.contains("HTTP/1.1 200") && said.contains("/early"), "{said}");
}

/// Passes packets between a client of QUIC and gofe; what gofe sends is held back until it may go.
async fn relay(gofe: SocketAddr) -> (SocketAddr, watch::Sender<bool>) {
    let (near, far) = (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    far.connect(gofe).await.unwrap();
    let address = near.local_addr().unwrap();
    let (open, mut opened) = watch::channel(true);
    tokio::spawn(async move {
        let (mut client, mut held) = (None, Vec::new());
        let (mut up, mut down) = ([0; 2048], [0; 2048]);
        loop {
            tokio::select! {
                Ok((length, from)) = near.recv_from(&mut up) => {
                    client = Some(from);
                    far.send(&up[..length]).await.unwrap();
                }
                Ok(length) = far.recv(&mut down) => held.push(down[..length].to_vec()),
                changed = opened.changed() => if changed.is_err() { return },
            }
            let open = *opened.borrow_and_update();
            if let Some(client) = client.filter(|_| open) {
                for packet in held.drain(..) {
                    near.send_to(&packet, client).await.unwrap();
                }
            }
        }
    });
    (address, open)
}

#[tokio::test]
async fn a_client_of_quic_sends_early_data() {
    let (reached, mut requests) = mpsc::unbounded_channel();
    let upstream = Upstream::start(move |request: Request<_>| {
        let early = request.headers().get("early-data").map(|value| value.to_str().unwrap().to_owned());
        reached.send((request.method().to_string(), early)).unwrap();
        async { Response::new(full("done")) }
    });
    let yaml =
        format!("routes: [{{ upstream: up }}]\nupstreams: {{ up: {{ endpoints: ['{}'] }} }}\n", upstream.address);
    let gofe = start(", early-data: true", &yaml);
    let (address, open) = relay(gofe.address).await;
    let config = Quic::config(gofe.folder(), true);
    let ask = |method: &str| Request::builder().method(method).uri("https://site.test/").body(()).unwrap();

    let endpoint = Arc::new(quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap());
    let connect = || endpoint.connect_with(config.clone(), address, "site.test").unwrap();
    let mut first = Quic::speak((*endpoint).clone(), connect().await.unwrap()).await;
    assert_eq!(first.send(ask("GET"), "").await.0.status(), 200);
    assert_eq!(requests.recv().await.unwrap(), ("GET".to_owned(), None));
    drop(first);

    // Nothing of what gofe says reaches the client, so that it cannot end its handshake.
    open.send(false).unwrap();
    let (connection, accepted) = connect().into_0rtt().expect("a session that takes early data");
    let mut client = Quic::speak((*endpoint).clone(), connection).await;
    let (mut get, mut post) = (client.begin(ask("GET")).await, client.begin(ask("POST")).await);
    get.0.finish().await.unwrap();
    post.0.finish().await.unwrap();
    assert_eq!(requests.recv().await.unwrap(), ("GET".to_owned(), Some("1".to_owned())));
    let metric = r#"gofe_errors_total{reason="too-early"}"#;
    let (gofe, counted) = (Arc::new(gofe), metric);
    let watched = gofe.clone();
    tokio::task::spawn_blocking(move || watched.counts(counted, 1)).await.unwrap();
    open.send(true).unwrap();
    assert!(accepted.await);
    assert_eq!(get.whole().await.0.status(), 200);
    assert_eq!(post.whole().await.0.status(), 425);
    assert_eq!(client.send(ask("POST"), "").await.0.status(), 200);
    assert_eq!(requests.recv().await.unwrap(), ("POST".to_owned(), None));
}
