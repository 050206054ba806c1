//! Clients that send what no client should: each gets a refusal or a closed connection, the upstream never sees a
//! request that was not meant, and gofe lives.

use std::sync::{Arc, Mutex};

use crate::harness::{Gofe, RawUpstream, Upstream, Wire, full, get, raw};

/// A gofe with tight limits in front of an upstream that writes down what it gets.
struct Site {
    gofe: Gofe,
    seen: Arc<Mutex<Vec<String>>>,
    _upstream: Upstream,
}

const LIMITS: &str = "limits: { header-size: 8KiB, header-count: 20, body-size: 1000 }\n";

impl Site {
    fn start(settings: &str) -> Self {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let writer = seen.clone();
        let upstream = Upstream::start(move |request| {
            writer.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
            async move {
                // The body is read to its end, so that the connection can be used again.
                let _ = http_body_util::BodyExt::collect(request.into_body()).await;
                hyper::Response::new(full("clean"))
            }
        });
        let gofe = Gofe::start(&format!(
            "{settings}routes: [{{ upstream: up }}]\nupstreams: {{ up: {{ endpoints: ['{}'] }} }}\n",
            upstream.address
        ));
        Self { gofe, seen, _upstream: upstream }
    }

    /// Sends these bytes, and a clean request on another connection, which must work.
    fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        let answer = raw(self.gofe.address, bytes);
        assert_eq!(get(self.gofe.address, "/clean", &[]).body, "clean");
        answer
    }

    /// What the upstream got, but for the clean requests.
    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().filter(|line| *line != "GET /clean").cloned().collect()
    }

    /// The bytes are refused with this status, as the last thing on their connection, and nothing is passed on.
    fn refuses(&self, bytes: impl AsRef<[u8]>, status: u16) {
        let bytes = bytes.as_ref();
        let answer = self.send(bytes);
        let sent = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{sent:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{sent:?}: {answer:?}");
        assert!(self.seen().is_empty(), "{sent:?}: {:?}", self.seen());
    }
}

/// A second request where a peer that counts in another way would see one.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: test\r\n\r\n";

#[test]
fn a_length_beside_chunks_smuggles_nothing() {
    let site = Site::start("");
    let length = SMUGGLED.len() + 5;
    for fields in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}"),
    ] {
        let answer = site.send(format!("POST /first HTTP/1.1\r\nhost: test\r\n{fields}\r\n\r\n0\r\n\r\n{SMUGGLED}"));
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{fields}: {answer}");
    }
    assert!(site.seen().iter().all(|line| line == "POST /first"), "{:?}", site.seen());
}

#[test]
fn framing_that_can_be_read_in_two_ways_is_refused() {
    let site = Site::start("");
    for fields in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: +5",
        "content-length: -5",
        "content-length: 0x5",
        "content-length: 5 5",
        "content-length: 99999999999999999999999",
        "content-length: ",
        "transfer-encoding: gzip",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: xchunked",
    ] {
        site.refuses(format!("POST /a HTTP/1.1\r\nhost: test\r\n{fields}\r\n\r\nhello{SMUGGLED}"), 400);
    }
}

#[test]
fn a_bad_chunk_breaks_the_request_off() {
    let site = Site::start("");
    for chunk in
        ["xyz\r\nhello", "-5\r\nhello", "5 5\r\nhello", "ffffffffffffffffff\r\nhello", "5\r\nhelloX", "0x5\r\nhello"]
    {
        let head = "POST /bad HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = site.send(format!("{head}{chunk}\r\n0\r\n\r\n{SMUGGLED}"));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunk:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{chunk:?}: {answer:?}");
    }
    assert!(site.seen().iter().all(|line| line == "POST /bad"), "{:?}", site.seen());
}

#[test]
fn heads_that_are_no_http_are_refused() {
    let site = Site::start("");
    for head in [
        "GET / HTTP/1.1\r\nhost : test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: test\r\nx-a : b\r\n\r\n",
        "GET / HTTP/1.1\r\n host: test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: test\r\nx-a: b\rx-b: c\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: test\r\nx-a: b\0c\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: test\r\nx-\0a: b\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nhost: test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: test\r\nx-a: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: test\r\n: no name\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: test\r\nno colon\r\n\r\n",
        "GET / HTTP/1.7\r\nhost: test\r\n\r\n",
        "GET /\r\nhost: test\r\n\r\n",
        "G@T / HTTP/1.1\r\nhost: test\r\n\r\n",
        "GET  / HTTP/1.1\r\nhost: test\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03 a TLS client\r\n\r\n",
        "hello\r\n\r\n",
    ] {
        site.refuses(head, 400);
    }
}

#[test]
fn a_request_names_one_host() {
    let site = Site::start("");
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost:\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: user@a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\n\r\n",
    ] {
        site.refuses(head, 400);
    }
}

#[test]
fn targets_that_servers_read_in_two_ways_are_refused() {
    let site = Site::start("");
    for target in
        ["/a/../b", "/a/%2e%2e/b", "/a/.%2E/b", "/a/./b", "/..", "/a/..;x=y/b", "/a%2f..%2fb", "/a\\..\\b", "*", "a/b"]
    {
        site.refuses(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"), 400);
    }
    site.refuses("CONNECT test:443 HTTP/1.1\r\nhost: test:443\r\n\r\n", 405);
}

#[test]
fn heads_over_the_limits_are_refused() {
    let site = Site::start(LIMITS);
    let long = "a".repeat(9000);
    site.refuses(format!("GET / HTTP/1.1\r\nhost: test\r\nx-long: {long}\r\n\r\n"), 431);
    let many: String = (0..30).map(|n| format!("x-{n}: a\r\n")).collect();
    site.refuses(format!("GET / HTTP/1.1\r\nhost: test\r\n{many}\r\n"), 431);
    let answer = site.send(format!("GET /{long} HTTP/1.1\r\nhost: test\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 414 ") || answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
    assert!(site.seen().is_empty());
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let site = Site::start(LIMITS);
    site.refuses("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1001\r\n\r\n", 413);
}

#[test]
fn a_chunked_body_over_the_limit_is_refused_when_it_shows() {
    let site = Site::start(LIMITS);
    let chunk = format!("190\r\n{}\r\n", "a".repeat(400));
    let head = "POST /long HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = site.send(format!("{head}{chunk}{chunk}{chunk}0\r\n\r\n{SMUGGLED}"));
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer:?}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer:?}");
}

#[test]
fn a_slow_head_ends_with_408() {
    let site = Site::start("timeouts: { header-read: 100ms }\n");
    assert!(site.send("GET / HTTP/1.1\r\nhost: te").starts_with("HTTP/1.1 408 "));
    // The preface of HTTP/2 is a head too.
    assert!(site.send("PRI * HT").starts_with("HTTP/1.1 408 "));
    // So is the second on a connection.
    let mut wire = Wire::connect(site.gofe.address);
    wire.send("GET /clean HTTP/1.1\r\nhost: test\r\n\r\n").until("clean");
    assert!(wire.send("GET /cl").rest().starts_with("HTTP/1.1 408 "));
    assert!(site.seen().is_empty());
}

#[test]
fn a_body_that_stops_ends_with_408() {
    let site = Site::start("timeouts: { idle: 200ms }\n");
    let answer = site.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhell");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer:?}");
}

#[test]
fn idle_connections_are_closed_without_a_word() {
    let site = Site::start("timeouts: { idle: 100ms }\n");
    assert_eq!(site.send(""), "");
    let mut wire = Wire::connect(site.gofe.address);
    wire.send("GET /clean HTTP/1.1\r\nhost: test\r\n\r\n").until("clean");
    assert_eq!(wire.rest(), "");
}

#[test]
fn past_the_connection_limit_connections_are_closed() {
    let site = Site::start("limits: { connections: 2 }\n");
    let mut first = Wire::connect(site.gofe.address);
    first.send("GET /clean HTTP/1.1\r\nhost: test\r\n\r\n").until("clean");
    let mut second = Wire::connect(site.gofe.address);
    second.send("GET /clean HTTP/1.1\r\nhost: test\r\n\r\n").until("clean");
    assert_eq!(raw(site.gofe.address, ""), "");
    // Those that are open work on.
    first.send("GET /clean HTTP/1.1\r\nhost: test\r\n\r\n").until("clean");
}

#[test]
fn a_client_that_goes_away_takes_its_upstream_request_with_it() {
    let upstream = RawUpstream::start();
    let gofe = Gofe::start(&format!(
        "routes: [{{ upstream: up }}]\nupstreams: {{ up: {{ endpoints: ['{}'] }} }}\n",
        upstream.address
    ));
    let mut client = Wire::connect(gofe.address);
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let mut connection = upstream.next();
    connection.head();
    drop(client);
    assert_eq!(connection.rest(), "");
    // In the middle of a response too.
    let mut client = Wire::connect(gofe.address);
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let mut connection = upstream.next();
    connection.head();
    connection.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    client.until("half");
    drop(client);
    assert_eq!(connection.rest(), "");
}

/// A small generator (splitmix64), so that a failing seed can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % most as u64) as usize
    }
}

/// Well-formed requests with some bytes changed, taken out, doubled or cut off.
fn damaged(random: &mut Random) -> Vec<u8> {
    const WHOLE: [&[u8]; 5] = [
        b"GET /a?b=c HTTP/1.1\r\nhost: test\r\naccept: */*\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello",
        b"POST /a HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x05\x01\x05\0\0\0\x01\x82\x84\x86\x41\x00",
        b"GET http://test/a HTTP/1.1\r\nhost: test\r\nconnection: te, x-a\r\nte: trailers\r\nexpect: 100-continue\r\n\r\n",
    ];
    const NASTY: &[u8] = b"\0\r\n\t :;,%/.\x7f\xff\x80HT0a";
    let mut bytes = WHOLE[random.below(WHOLE.len())].to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] = NASTY[random.below(NASTY.len())],
            1 => bytes.insert(at, NASTY[random.below(NASTY.len())]),
            2 if bytes.len() > 1 => drop(bytes.remove(at)),
            3 => bytes.truncate(at.max(1)),
            _ => {
                let again = bytes[at..].to_vec();
                bytes.extend(again);
            }
        }
    }
    bytes
}

#[test]
fn damaged_requests_never_end_gofe() {
    let mut site = Site::start("");
    let address = site.gofe.address;
    let clients: Vec<_> = (0..8u64)
        .map(|seed| {
            std::thread::spawn(move || {
                let mut random = Random(seed);
                (0..100).for_each(|_| drop(Wire::connect(address).last(damaged(&mut random)).rest()));
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(get(address, "/clean", &[]).body, "clean");
    let panics: Vec<_> = site.gofe.log().into_iter().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:?}");
    site.gofe.signal("TERM");
    assert!(site.gofe.ended().success());
}
