//! How requests are sent to upstreams: TLS and its certificates, protocols, sockets, and what endpoints learn of clients.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;

use gofe_certificates::{Authority, Wanted};
use tempfile::TempDir;

use crate::harness::tls::put;
use crate::harness::{Gofe, KeepAlive, RawUpstream, get};

/// A gofe that answers in TLS with what it got; `more` goes into its listener's `tls`.
fn secured(authority: &Authority, more: &str) -> Gofe {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    put(folder.path(), "site", &authority.issue(&Wanted::server(&["site.test"])));
    let tls = format!("{{ certificates: [{{ certificate: file:site.pem, private-key: file:site.key }}]{more} }}");
    let yaml = format!(
        "listeners: [{{ address: '127.0.0.1:0', tls: {tls} }}]\n\
         routes: [{{ upstream: echo }}]\nupstreams: {{ echo: {{ builtin: echo }} }}\n"
    );
    Gofe::start_in(folder, &yaml)
}

/// A folder with the authority's certificate.
fn folder(authority: &Authority) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    folder
}

/// The configuration of a gofe before another; `tls` is the upstream's, `more` stands beside it.
fn before(upstream: &Gofe, tls: &str, more: &str) -> String {
    format!(
        "routes: [{{ upstream: users }}]\nupstreams: {{ users: {{ endpoints: ['{}'], tls: {tls}{more} }} }}\n",
        upstream.address
    )
}

const TLS: &str = "{ server-name: site.test, authorities: file:ca.pem }";

#[test]
fn an_upstream_that_verifies_is_reached() {
    let authority = Authority::new("test");
    let upstream = secured(&authority, "");
    let gofe = Gofe::start_in(folder(&authority), &before(&upstream, TLS, ""));
    for _ in 0..3 {
        let answer = get(gofe.address, "/hello", &[]);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["headers"]["via"][0], "1.1 gofe", "{answer:?}");
    }
    upstream.counts(r#"gofe_tls_handshakes_total{result="full"}"#, 1);
}

#[test]
fn an_upstream_with_the_wrong_certificate_is_a_bad_gateway_and_the_log_says_why() {
    let authority = Authority::new("test");
    let upstream = secured(&authority, "");
    let other = Authority::new("other");
    for (authority, tls, why) in [
        (&other, TLS, "UnknownIssuer"),
        (&authority, "{ server-name: other.test, authorities: file:ca.pem }", "other.test"),
        (&authority, "{ authorities: file:ca.pem }", "127.0.0.1"),
    ] {
        let gofe = Gofe::start_in(folder(authority), &before(&upstream, tls, ""));
        assert_eq!(get(gofe.address, "/", &[]).status, 502);
        let line = gofe.logged("no TLS with");
        assert!(line.contains(why) && line.contains("upstream-tls") && line.contains("users"), "{line}");
    }
    for verify in ["authority", "none"] {
        let trusted = if verify == "none" { "" } else { ", authorities: file:ca.pem" };
        let tls = format!("{{ server-name: other.test, verify: {verify}{trusted} }}");
        let gofe = Gofe::start_in(folder(&authority), &before(&upstream, &tls, ""));
        assert_eq!(get(gofe.address, "/", &[]).status, 200);
    }
}

#[test]
fn cleartext_in_the_place_of_tls_is_a_bad_gateway() {
    let authority = Authority::new("test");
    let plain = Gofe::start("routes: [{ respond: { body: hello } }]\n");
    let gofe = Gofe::start_in(folder(&authority), &before(&plain, TLS, ""));
    assert_eq!(get(gofe.address, "/", &[]).status, 502);
    gofe.logged("no TLS with");
}

#[test]
fn an_upstream_that_asks_gets_a_certificate() {
    let authority = Authority::new("test");
    let upstream = secured(&authority, ", client-certificates: { authorities: file:ca.pem, header: x-subject }");
    let own = folder(&authority);
    put(own.path(), "gofe", &authority.issue(&Wanted::client("gofe")));
    let tls = "{ server-name: site.test, authorities: file:ca.pem, \
               client-certificate: { certificate: file:gofe.pem, private-key: file:gofe.key } }";
    let gofe = Gofe::start_in(own, &before(&upstream, tls, ""));
    assert_eq!(get(gofe.address, "/", &[]).json()["headers"]["x-subject"], "CN=gofe,O=Example");
    let gofe = Gofe::start_in(folder(&authority), &before(&upstream, TLS, ""));
    assert_eq!(get(gofe.address, "/", &[]).status, 502, "one without is refused");
}

#[test]
fn files_that_change_are_read_again() {
    let (authority, other) = (Authority::new("test"), Authority::new("other"));
    let upstream = secured(&authority, "");
    let gofe = Gofe::start_in(folder(&other), &before(&upstream, TLS, ""));
    assert_eq!(get(gofe.address, "/", &[]).status, 502);
    std::fs::write(gofe.folder().join("ca.pem"), authority.pem()).unwrap();
    gofe.logged("a configuration was put into service");
    assert_eq!(get(gofe.address, "/", &[]).status, 200);
    std::fs::write(gofe.folder().join("ca.pem"), "").unwrap();
    let line = gofe.logged("the configuration is refused");
    assert!(line.contains("ca.pem is empty"), "{line}");
    assert_eq!(get(gofe.address, "/", &[]).status, 200, "what was there serves on");
}

#[test]
fn the_protocol_is_agreed_upon() {
    let authority = Authority::new("test");
    for (alpn, via) in [("[h2, http/1.1]", "2 gofe"), ("[http/1.1]", "1.1 gofe")] {
        let upstream = secured(&authority, &format!(", alpn: {alpn}"));
        let gofe = Gofe::start_in(folder(&authority), &before(&upstream, TLS, ", protocol: auto"));
        for _ in 0..3 {
            let answer = get(gofe.address, "/", &[]);
            let seen = answer.json()["headers"]["via"].to_string();
            assert!(seen.contains(&format!("\"{via}\"")) && answer.status == 200, "{answer:?}");
            let host = answer.json()["headers"]["host"].to_string();
            assert!(host.contains("test"), "{answer:?}");
        }
    }
}

/// Answers each request on a Unix socket with this text.
fn listen(path: &Path, text: &'static str) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                    if line == "\r\n" {
                        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
                        reader.get_mut().write_all(answer.as_bytes()).unwrap();
                    }
                    line.clear();
                }
            });
        }
    });
}

#[test]
fn a_unix_socket_is_an_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    listen(&path, "by the socket");
    let yaml = format!(
        "routes: [{{ upstream: users }}]\nupstreams: {{ users: {{ endpoints: ['unix:{}'] }} }}\n",
        path.display()
    );
    let gofe = Gofe::start(&yaml);
    for _ in 0..3 {
        assert_eq!(get(gofe.address, "/", &[]).body, "by the socket");
    }
    assert!(gofe.ask("/upstreams").body.contains(&format!("unix:{}", path.display())));
}

#[test]
fn an_endpoint_learns_of_the_client_before_its_first_request() {
    let upstream = RawUpstream::start();
    let yaml = format!(
        "routes: [{{ upstream: users }}]\n\
         upstreams: {{ users: {{ endpoints: ['{}'], proxy-protocol: v1 }} }}\n",
        upstream.address
    );
    let gofe = Gofe::start(&yaml);
    let address = gofe.address;
    let mut ports = Vec::new();
    for _ in 0..2 {
        let asked = std::thread::spawn(move || get(address, "/", &[]).status);
        let mut wire = upstream.next();
        let head = wire.head();
        let line = head.lines().next().unwrap();
        assert!(line.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "), "{head}");
        ports.push(line.split(' ').nth(4).unwrap().to_owned());
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(asked.join().unwrap(), 200);
    }
    assert_ne!(ports[0], ports[1], "another client has another connection");
}

/// A connection that was kept may be closed at the moment a request is sent on it. The request goes out again, and is the
/// same: also where plugins look at the client's fields later, of which it is then made a second time.
#[test]
fn a_request_that_is_sent_twice_is_the_same_both_times() {
    for chain in ["", ", chain: log"] {
        let upstream = RawUpstream::start();
        let mut gofe = Gofe::start(&format!(
            "routes: [{{ upstream: users{chain} }}]\nupstreams: {{ users: {{ endpoints: ['{}'] }} }}\n\
             chains: {{ log: [access-log] }}\nplugins: {{ access-log: {{ source: std:access-log }} }}\n",
            upstream.address
        ));
        let address = gofe.address;
        let client = std::thread::spawn(move || {
            let mut client = KeepAlive::connect(address);
            let fields = [("x-mine", "1"), ("x-mine", "2"), ("te", "trailers"), ("x-real-ip", "192.0.2.1")];
            [client.get("/first", &fields).status, client.get("/again?a=b", &fields).status]
        });
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let mut first = upstream.next();
        first.head();
        first.send(answer);
        let sent = first.head();
        drop(first);
        let mut second = upstream.next();
        assert_eq!(second.head(), sent);
        second.send(answer);
        assert!(sent.starts_with("GET /again?a=b HTTP/1.1\r\n") && !sent.contains("x-real-ip"), "{sent}");
        for field in ["x-mine: 1", "x-mine: 2", "te: trailers", "x-forwarded-for: 127.0.0.1"] {
            assert_eq!(sent.matches(&format!("\r\n{field}\r\n")).count(), 1, "{field}: {sent}");
        }
        assert_eq!(client.join().unwrap(), [200, 200]);
        gofe.signal("TERM");
        assert!(gofe.ended().success());
    }
}
