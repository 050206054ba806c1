//! Behind other proxies: PROXY headers, trusted proxies, Unix sockets, and listeners with routes of their own.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use crate::harness::{Gofe, get, raw, refused_start};

const ECHO: &str = "routes: [{ upstream: echo }]\nupstreams: { echo: { builtin: echo } }\n";
const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";

fn listener(more: &str) -> String {
    format!("listeners: [{{ address: '127.0.0.1:0', {more} }}]\n{ECHO}")
}

/// A header of version 2 for `192.0.2.7:1234`.
fn binary() -> Vec<u8> {
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[192, 0, 2, 7, 127, 0, 0, 1, 0x04, 0xd2, 0x01, 0xbb]].concat()
}

#[test]
fn a_proxy_header_says_who_the_client_is() {
    let gofe = Gofe::start(&listener("proxy-protocol: [127.0.0.0/8]"));
    for header in [b"PROXY TCP4 192.0.2.7 127.0.0.1 1234 443\r\n".to_vec(), binary()] {
        let answer = raw(gofe.address, [&header, GET.as_bytes()].concat());
        assert!(answer.contains(r#""x-forwarded-for":"192.0.2.7""#), "{answer}");
    }
    let answer = raw(gofe.address, format!("PROXY UNKNOWN\r\n{GET}"));
    assert!(answer.contains(r#""x-forwarded-for":"127.0.0.1""#), "{answer}");
}

#[test]
fn a_proxy_header_that_is_wrong_closes_its_connection_and_no_other() {
    let gofe = Gofe::start(&listener("proxy-protocol: [127.0.0.0/8]"));
    let broken = [
        (GET.as_bytes().to_vec(), "missing"),
        (format!("PROXY TCP4 {}\r\n{GET}", "1".repeat(200)).into_bytes(), "too-long"),
        ([&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"[..], &[0; 100]].concat(), "too-long"),
        (format!("PROXY TCP4 nobody 127.0.0.1 1 2\r\n{GET}").into_bytes(), "malformed"),
    ];
    for (bytes, _) in &broken {
        assert_eq!(raw(gofe.address, bytes), "", "{:?}", bytes.escape_ascii().to_string());
    }
    let mut truncated = std::net::TcpStream::connect(gofe.address).unwrap();
    truncated.write_all(&binary()[..20]).unwrap();
    truncated.shutdown(Shutdown::Write).unwrap();
    for (reason, count) in [("missing", 1), ("too-long", 2), ("malformed", 1), ("truncated", 1)] {
        gofe.counts(&format!("gofe_proxy_protocol_refused_total{{reason=\"{reason}\"}}"), count);
    }
    gofe.logged("the PROXY header is truncated");
    assert!(raw(gofe.address, [&binary(), GET.as_bytes()].concat()).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_peer_that_may_not_send_a_proxy_header_is_refused() {
    let gofe = Gofe::start(&listener("proxy-protocol: [192.0.2.0/24]"));
    assert_eq!(raw(gofe.address, [&binary(), GET.as_bytes()].concat()), "");
    gofe.counts(r#"gofe_proxy_protocol_refused_total{reason="untrusted"}"#, 1);
    let line = gofe.logged("may not send a PROXY header");
    assert!(line.contains("127.0.0.1:") && line.contains("untrusted"), "{line}");
}

/// What the upstream learns of the client from a request with these fields.
fn learned(address: SocketAddr, headers: &[(&str, &str)]) -> (String, String, String) {
    let seen = get(address, "/", headers).json();
    let field = |name: &str| seen["headers"][name].as_str().unwrap_or_default().to_owned();
    (field("x-forwarded-for"), field("forwarded"), field("x-forwarded-proto"))
}

#[test]
fn a_trusted_proxy_is_believed_and_nobody_else() {
    let gofe = Gofe::start(&listener("trusted-proxies: [127.0.0.1, 10.0.0.0/8]"));
    let forged = [("x-forwarded-for", "1.1.1.1, 198.51.100.7, 10.0.0.2"), ("x-forwarded-proto", "https")];
    let (all, forwarded, scheme) = learned(gofe.address, &forged);
    assert_eq!((&*all, &*scheme), ("198.51.100.7, 10.0.0.2, 127.0.0.1", "https"));
    assert_eq!(forwarded, "for=198.51.100.7;proto=https;host=\"test\", for=10.0.0.2, for=127.0.0.1");
    let (all, ..) = learned(gofe.address, &[("forwarded", "for=9.9.9.9"), ("x-real-ip", "9.9.9.9")]);
    assert_eq!(all, "127.0.0.1", "the other field is not believed");

    let stranger = Gofe::start(&listener("trusted-proxies: [10.0.0.0/8]"));
    let (all, forwarded, scheme) = learned(stranger.address, &forged);
    assert_eq!((&*all, &*scheme), ("127.0.0.1", "http"));
    assert!(forwarded.starts_with("for=127.0.0.1;"), "{forwarded}");
}

#[test]
fn forwarded_is_believed_where_it_is_what_the_proxy_writes() {
    let gofe = Gofe::start(&listener("trusted-proxies: { from: [127.0.0.1], header: forwarded }"));
    let fields = [("forwarded", "for=\"[2001:db8::7]:4711\";proto=https"), ("x-forwarded-for", "9.9.9.9")];
    let (all, _, scheme) = learned(gofe.address, &fields);
    assert_eq!((&*all, &*scheme), ("2001:db8::7, 127.0.0.1", "https"));
}

#[test]
fn behind_a_proxy_that_speaks_https_nobody_is_redirected() {
    let gofe = Gofe::start(&listener("redirect-to-https: true, trusted-proxies: [127.0.0.1]"));
    assert_eq!(get(gofe.address, "/", &[]).status, 308);
    assert_eq!(get(gofe.address, "/", &[("x-forwarded-proto", "http")]).status, 308);
    assert_eq!(get(gofe.address, "/", &[("x-forwarded-proto", "https")]).status, 200);
}

fn over(socket: &Path, text: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn with_socket(name: &str, mode: &str) -> String {
    format!("listeners: [{{ address: '127.0.0.1:0' }}, {{ address: 'unix:{name}', mode: '{mode}' }}]\n{ECHO}")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_unix_socket_serves_follows_reloads_and_leaves_nothing_behind() {
    let mut gofe = Gofe::start(&with_socket("a.sock", "0600"));
    let (a, b) = (gofe.folder().join("a.sock"), gofe.folder().join("b.sock"));
    let answer = over(&a, GET);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""x-forwarded-for":"127.0.0.1""#), "{answer}");
    assert_eq!(mode(&a), 0o600);

    gofe.write(&with_socket("a.sock", "0666"));
    gofe.counts("gofe_config_generation", 2);
    assert_eq!(gofe.tell("/reload").status, 200);
    assert_eq!(mode(&a), 0o666);
    assert!(over(&a, GET).starts_with("HTTP/1.1 200"));

    gofe.write(&with_socket("b.sock", "0600"));
    assert_eq!(gofe.tell("/reload").status, 200);
    assert!(over(&b, GET).starts_with("HTTP/1.1 200"));
    assert!(!a.exists(), "nobody listens there any more");

    gofe.signal("TERM");
    assert!(gofe.ended().success());
    assert!(!b.exists());
}

#[test]
fn a_socket_that_is_stale_is_taken_over_and_one_that_is_not_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(std::fs::metadata(&path).unwrap().file_type().is_socket());
    let gofe = Gofe::start_in(folder, &with_socket("a.sock", "0660"));
    assert!(over(&gofe.folder().join("a.sock"), GET).starts_with("HTTP/1.1 200"));

    let folder = tempfile::tempdir().unwrap();
    let _other = UnixListener::bind(folder.path().join("a.sock")).unwrap();
    let refused = refused_start(folder.path(), &with_socket("a.sock", "0660"));
    assert!(refused.stderr.contains("another program listens there"), "{}", refused.stderr);
    std::fs::write(folder.path().join("b.sock"), "mine").unwrap();
    let refused = refused_start(folder.path(), &with_socket("b.sock", "0660"));
    assert!(refused.stderr.contains("there is a file that is no socket"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(folder.path().join("b.sock")).unwrap(), "mine");
}

#[test]
fn a_route_serves_on_the_listeners_that_it_names() {
    let yaml = |inside: &str| {
        format!(
            "listeners: [{{ address: '127.0.0.1:0' }}, {{ name: inside, address: '127.0.0.2:0' }}]\nroutes:\n\
             - {{ respond: {{ body: everywhere }} }}\n\
             - {{ match: {{ path: /in }}, listeners: [inside], respond: {{ body: {inside} }} }}\n"
        )
    };
    let gofe = Gofe::start(&yaml("first"));
    let inside = gofe.address_on("127.0.0.2");
    let body = |address, path| get(address, path, &[]).body;
    assert_eq!((&*body(gofe.address, "/in"), &*body(inside, "/in")), ("everywhere", "first"));
    assert_eq!(body(inside, "/"), "everywhere");
    gofe.write(&yaml("second"));
    gofe.counts("gofe_config_generation", 2);
    assert_eq!((&*body(gofe.address, "/in"), &*body(inside, "/in")), ("everywhere", "second"));
}
