//! Listeners that pass bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use gofe_certificates::{Authority, Wanted};

use crate::harness::tls::{TlsClient, put};
use crate::harness::{Gofe, RawUpstream, Wire, nobody};

const BOTH: [&rustls::SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

fn site(listener: &str, upstreams: &str) -> String {
    format!("listeners: [{{ address: '127.0.0.1:0', {listener} }}]\nupstreams: {{ {upstreams} }}\n")
}

fn up(name: &str, address: std::net::SocketAddr) -> String {
    format!("{name}: {{ endpoints: ['{address}'] }}")
}

#[test]
fn bytes_are_passed_both_ways_and_each_end_by_itself() {
    let upstream = RawUpstream::start();
    let gofe = Gofe::start(&site("tcp: { upstream: up }", &up("up", upstream.address)));
    let mut client = Wire::connect(gofe.address);
    client.send("no HTTP\0\r\n");
    let mut server = upstream.next();
    server.until("no HTTP\0\r\n");
    server.send("nor here.");
    client.until("nor here.");
    client.last("the end");
    assert_eq!(server.rest(), "the end");
    server.send("after that");
    client.until("after that");
    drop(server);
    assert_eq!(client.rest(), "");
    gofe.counts(r#"gofe_tcp_connections_total{end="closed"}"#, 1);
}

#[test]
fn a_mebibyte_arrives_as_it_was_sent() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let gofe = Gofe::start(&site("tcp: { upstream: up }", &up("up", upstream.local_addr().unwrap())));
    let bytes: Vec<u8> = (0..1 << 20).map(|number: u32| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = upstream.accept().unwrap();
        let mut seen = Vec::new();
        stream.read_to_end(&mut seen).unwrap();
        stream.write_all(&seen).unwrap();
    });
    let mut client = TcpStream::connect(gofe.address).unwrap();
    client.write_all(&bytes).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    client.read_to_end(&mut back).unwrap();
    echo.join().unwrap();
    assert!(back == bytes, "{} bytes came back", back.len());
}

#[test]
fn an_upstream_that_is_not_there_closes_the_connection_and_others_are_tried() {
    let gofe = Gofe::start(&site("tcp: { upstream: up }", &up("up", nobody())));
    assert_eq!(Wire::connect(gofe.address).rest(), "");
    gofe.counts(r#"gofe_tcp_connections_total{end="no-connection"}"#, 1);

    let upstream = RawUpstream::start();
    let both = format!("up: {{ endpoints: ['{}', '{}'] }}", nobody(), upstream.address);
    let gofe = Gofe::start(&site("tcp: { upstream: up }", &both));
    for _ in 0..2 {
        let mut client = Wire::connect(gofe.address);
        client.send("hello");
        upstream.next().until("hello");
    }
}

#[test]
fn a_connection_on_which_nothing_moves_ends() {
    let upstream = RawUpstream::start();
    let gofe = Gofe::start(&site("tcp: { upstream: up, idle-timeout: 100ms }", &up("up", upstream.address)));
    let mut client = Wire::connect(gofe.address);
    client.send("hello");
    let mut server = upstream.next();
    assert_eq!(server.rest(), "hello");
    assert_eq!(client.rest(), "");
    gofe.counts(r#"gofe_tcp_connections_total{end="tunnel-idle"}"#, 1);
}

/// A gofe that ends TLS for a name and says its own.
fn secure_server(authority: &Authority, name: &'static str) -> Gofe {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "site", &authority.issue(&Wanted::server(&[name])));
    let tls = "{ certificates: [{ certificate: file:site.pem, private-key: file:site.key }] }";
    let yaml =
        format!("listeners: [{{ address: '127.0.0.1:0', tls: {tls} }}]\nroutes: [{{ respond: {{ body: {name} }} }}]\n");
    Gofe::start_in(folder, &yaml)
}

#[test]
fn the_server_name_chooses_the_upstream_without_ending_its_tls() {
    let authority = Authority::new("test");
    let (a, b) = (secure_server(&authority, "a.test"), secure_server(&authority, "b.test"));
    let names = "server-names: [{ names: [a.test], upstream: a }, { names: ['*.b.test', b.test], upstream: b }]";
    let yaml = site(&format!("tcp: {{ {names} }}"), &format!("{}, {}", up("a", a.address), up("b", b.address)));
    let gofe = Gofe::start(&yaml);
    let client = TlsClient::new(&BOTH);
    for (name, expected) in [("a.test", "a.test"), ("b.test", "b.test"), ("x.y.b.test", "b.test")] {
        let answer = client.connect(gofe.address, name).get("/");
        assert!(answer.ends_with(expected), "{name}: {answer}");
    }
    assert!(client.try_connect(gofe.address, "c.test").is_err());
    gofe.counts(r#"gofe_tcp_connections_total{end="no-upstream"}"#, 1);
    assert_eq!(Wire::connect(gofe.address).last("GET / HTTP/1.1\r\n\r\n").rest(), "");
    gofe.counts(r#"gofe_tls_handshakes_total{result="not-tls"}"#, 1);
    assert!(client.connect(gofe.address, "a.test").get("/").ends_with("a.test"));
}

#[test]
fn tls_that_gofe_ends_is_cleartext_to_the_upstream() {
    let upstream = RawUpstream::start();
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "site", &Authority::new("test").issue(&Wanted::server(&["site.test"])));
    let listener = "tls: { certificates: [{ certificate: file:site.pem, private-key: file:site.key }] }, \
                    tcp: { server-names: [{ names: [site.test], upstream: up }] }";
    let gofe = Gofe::start_in(folder, &site(listener, &up("up", upstream.address)));
    let address = gofe.address;
    let client = std::thread::spawn(move || TlsClient::new(&BOTH).connect(address, "site.test").get("/secret"));
    let mut server = upstream.next();
    assert!(server.head().starts_with("GET /secret HTTP/1.1"));
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    drop(server);
    assert!(client.join().unwrap().ends_with("ok"));
}

#[test]
fn a_client_that_the_limits_turn_away_reaches_nobody() {
    let upstream = RawUpstream::start();
    let yaml = format!(
        "limits: {{ connections-per-client: 1 }}\n{}",
        site("tcp: { upstream: up }", &up("up", upstream.address))
    );
    let gofe = Gofe::start(&yaml);
    let mut first = Wire::connect(gofe.address);
    first.send("hello");
    let _server = upstream.next();
    assert_eq!(Wire::connect(gofe.address).rest(), "");
    assert!(upstream.is_untouched());
}
