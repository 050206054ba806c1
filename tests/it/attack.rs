//! Clients that want to do harm: what HTTP/2 can carry past a proxy, floods of frames, resets, and slowness. Each time
//! another client is served meanwhile.

use std::net::SocketAddr;

use crate::harness::frames::{
    CONTINUATION, DATA, END_STREAM, Frames, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, block,
};
use crate::harness::{Body, Gofe, KeepAlive, Peer, RawUpstream, Upstream, Wire, full, get, raw};

const ECHO: &str = "routes: [{ upstream: echo }]\nupstreams: { echo: { builtin: echo } }\n";

type Fields<'a> = Vec<(&'a str, &'a [u8])>;

fn request<'a>(method: &'a str, more: &[(&'a str, &'a [u8])]) -> Fields<'a> {
    let pseudo: [(&str, &[u8]); 4] =
        [(":method", method.as_bytes()), (":scheme", b"http"), (":path", b"/"), (":authority", b"test")];
    [&pseudo[..], more].concat()
}

/// Whether a request in these frames is refused: its stream or connection ends in an error, or the answer is 400.
fn refused(address: SocketAddr, fields: &[(&str, &[u8])], body: Option<&[u8]>) -> bool {
    let mut frames = Frames::connect(address);
    frames.open(1, fields, if body.is_some() { 0 } else { END_STREAM });
    if let Some(body) = body {
        frames.send(DATA, END_STREAM, 1, body);
    }
    loop {
        match frames.next() {
            None => return true,
            Some(frame) if matches!(frame.kind, RST_STREAM | GOAWAY) => return true,
            // `:status 400` is the twelfth entry of the static table, 200 the eighth.
            Some(frame) if frame.kind == HEADERS => return frame.payload.contains(&0x8c),
            Some(_) => {}
        }
    }
}

#[test]
fn what_http1_cannot_carry_is_refused_and_never_smuggled() {
    let upstream = RawUpstream::start();
    let gofe = Gofe::start(&format!(
        "routes: [{{ upstream: up }}]\nupstreams: {{ up: {{ endpoints: ['{}'] }} }}\n",
        upstream.address
    ));
    let cases: Vec<(Fields<'_>, Option<&[u8]>)> = vec![
        (request("GET", &[("x-a", b"1\r\nx-forged: 1")]), None),
        (request("GET", &[("x-a", b"1\nx-forged: 1")]), None),
        (request("GET", &[("x-a", b"1\r")]), None),
        (request("GET", &[("x-a", b"1\0")]), None),
        (request("GET", &[("x-a", b" 1")]), None),
        (request("GET", &[("x-a", b"1\t")]), None),
        (request("GET", &[("x-a\r\nx-forged", b"1")]), None),
        (request("GET", &[("x a", b"1")]), None),
        (request("GET", &[("x-a:", b"1")]), None),
        (request("GET", &[("X-Upper", b"1")]), None),
        (request("GET", &[("", b"1")]), None),
        (request("GET", &[("connection", b"close")]), None),
        (request("GET", &[("keep-alive", b"1")]), None),
        (request("GET", &[("proxy-connection", b"close")]), None),
        (request("GET", &[("upgrade", b"websocket")]), None),
        (request("POST", &[("transfer-encoding", b"chunked")]), Some(b"0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n")),
        (request("GET", &[("te", b"gzip")]), None),
        (request("GET", &[("te", b"trailers, chunked")]), None),
        (request("GET", &[("host", b"other")]), None),
        (request("GET", &[(":path", b"/two")]), None),
        (request("GET", &[("x-a", b"1"), (":path", b"/late")]), None),
        (request("GET", &[(":status", b"200")]), None),
        (request("GET", &[(":unknown", b"1")]), None),
        (request("G ET", &[]), None),
        (request("GET / HTTP/1.1\r\nx: y", &[]), None),
        (vec![(":method", b"GET"), (":scheme", b"http"), (":authority", b"test")], None),
        (
            vec![(":method", b"GET"), (":scheme", b"http"), (":path", b"/ HTTP/1.1\r\nx: y"), (":authority", b"test")],
            None,
        ),
        (vec![(":method", b"GET"), (":scheme", b"http"), (":path", b"a"), (":authority", b"test")], None),
        (vec![(":method", b"GET"), (":scheme", b"http"), (":path", b"/"), (":authority", b"a b")], None),
        (vec![(":method", b"GET"), (":scheme", b"http"), (":path", b"/"), (":authority", b"user@test")], None),
        (request("POST", &[("content-length", b"1"), ("content-length", b"2")]), Some(b"12")),
        (request("POST", &[("content-length", b"-1")]), Some(b"")),
        (request("POST", &[("content-length", b"+1")]), Some(b"1")),
    ];
    for (fields, body) in &cases {
        let shown: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii())).collect();
        assert!(refused(gofe.address, fields, *body), "served: {shown:?}");
    }
    assert!(upstream.is_untouched(), "something reached the upstream");
    let good = std::thread::spawn(move || get(gofe.address, "/", &[]).status);
    let mut wire = upstream.next();
    wire.head();
    wire.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(good.join().unwrap(), 204);
}

#[test]
fn a_body_that_is_not_as_long_as_it_says_breaks_off() {
    let gofe = Gofe::start(ECHO);
    for body in [&b"1"[..], b"12345"] {
        assert!(refused(gofe.address, &request("POST", &[("content-length", b"3")]), Some(body)));
    }
    assert_eq!(get(gofe.address, "/", &[]).status, 200);
}

#[test]
fn cookies_in_crumbs_are_one_field_for_http1() {
    let upstream = RawUpstream::start();
    let gofe = Gofe::start(&format!(
        "routes: [{{ upstream: up }}]\nupstreams: {{ up: {{ endpoints: ['{}'] }} }}\n",
        upstream.address
    ));
    let mut frames = Frames::connect(gofe.address);
    frames.open(1, &request("GET", &[("cookie", b"a=1"), ("cookie", b"b=2")]), END_STREAM);
    let head = upstream.next().head();
    assert!(head.contains("cookie: a=1; b=2\r\n"), "{head}");
}

#[tokio::test]
async fn http2_has_the_limit_on_fields_too() {
    let gofe = Gofe::start(&format!("limits: {{ header-count: 10 }}\n{ECHO}"));
    let mut peer = Peer::http2(gofe.address).await;
    let mut status = async |fields: usize| {
        let mut request = hyper::Request::get("/").body::<Body>(full("")).unwrap();
        for field in 0..fields {
            let name = format!("x-{field}").parse::<http::HeaderName>().unwrap();
            request.headers_mut().insert(name, "1".parse().unwrap());
        }
        peer.send(request).await.status().as_u16()
    };
    assert_eq!(status(10).await, 200);
    assert_eq!(status(11).await, 431);
    gofe.counts(r#"gofe_errors_total{reason="too-many-headers"}"#, 1);
}

#[test]
fn a_rapid_reset_ends_the_connection_and_no_other() {
    let gofe = Gofe::start(ECHO);
    let mut other = KeepAlive::connect(gofe.address);
    let mut frames = Frames::connect(gofe.address);
    let fields = request("POST", &[]);
    let mut stream = 1;
    while stream < 20_001 && frames.open(stream, &fields, 0) && frames.send(RST_STREAM, 0, stream, &[0, 0, 0, 8]) {
        if stream % 1001 == 0 {
            assert_eq!(other.get("/", &[]).status, 200);
        }
        stream += 2;
    }
    while frames.next().is_some() {}
    assert_eq!(other.get("/", &[]).status, 200);
    let metrics = gofe.ask("/metrics").body;
    assert!(metrics.contains("gofe_http2_closed_total{reason="), "{metrics}");
}

#[test]
fn a_client_that_resets_what_gofe_has_begun_is_cut_off() {
    let gofe = Gofe::start(&format!("limits: {{ resets: 5 }}\n{ECHO}"));
    let mut frames = Frames::connect(gofe.address);
    let fields = request("POST", &[]);
    for stream in (1..).step_by(2).take(50) {
        frames.open(stream, &fields, 0);
        if !frames.settle() || !frames.send(RST_STREAM, 0, stream, &[0, 0, 0, 8]) {
            break;
        }
    }
    while frames.next().is_some() {}
    gofe.counts(r#"gofe_http2_closed_total{reason="resets"}"#, 1);
    assert_eq!(get(gofe.address, "/", &[]).status, 200);
}

#[test]
fn endless_continuations_end_the_connection() {
    let gofe = Gofe::start(ECHO);
    let mut frames = Frames::connect(gofe.address);
    frames.send(HEADERS, END_STREAM, 1, &block(&request("GET", &[])));
    let crumb = block(&[("x-a", &[b'a'; 8000])]);
    let sent = (0..10_000).take_while(|_| frames.send(CONTINUATION, 0, 1, &crumb)).count();
    assert!(sent < 10_000, "gofe takes them all");
    assert_eq!(get(gofe.address, "/", &[]).status, 200);
}

#[test]
fn floods_of_pings_and_settings_take_no_memory() {
    let gofe = Gofe::start(&format!("workers: 1\n{ECHO}"));
    assert_eq!(get(gofe.address, "/", &[]).status, 200);
    let before = gofe.resident();
    let mut floods = Vec::new();
    for (kind, payload) in [(PING, &[1; 8][..]), (SETTINGS, &[0, 3, 0, 0, 0, 9])] {
        let mut frames = Frames::connect(gofe.address);
        frames.flood(kind, payload, 2_000_000);
        assert_eq!(get(gofe.address, "/", &[]).status, 200);
        // It reads no answer, and holds the connection.
        floods.push(frames);
    }
    let grown = gofe.resident().saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB");
}

#[test]
fn two_thousand_slow_streams_and_slow_heads_do_not_keep_others_out() {
    let gofe = Gofe::start(&format!("workers: 1\ntimeouts: {{ body-grace: 1h, header-read: 1h, idle: 1h }}\n{ECHO}"));
    let fields = request("POST", &[]);
    let mut slow: Vec<Frames> = (0..20).map(|_| Frames::connect(gofe.address)).collect();
    for frames in &mut slow {
        for stream in (1..).step_by(2).take(100) {
            assert!(frames.open(stream, &fields, 0) && frames.send(DATA, 0, stream, b"a"));
        }
    }
    gofe.counts(r#"gofe_requests_active{route="/**"}"#, 2000);
    let mut heads: Vec<Wire> = (0..200).map(|_| Wire::connect(gofe.address)).collect();
    for head in &mut heads {
        head.send("GET / HTTP/1.1\r\nhost: ");
    }
    gofe.counts("gofe_connections_active", 220);
    assert_eq!(get(gofe.address, "/", &[]).status, 200);
    for frames in &mut slow {
        assert!(frames.send(DATA, END_STREAM, 1, b"b"));
        assert_eq!(frames.next().map(|frame| frame.kind), Some(HEADERS), "the slow ones are served too");
    }
    for head in &mut heads {
        head.send("test\r\nconnection: close\r\n\r\n");
        assert!(head.rest().starts_with("HTTP/1.1 200"));
    }
}

#[test]
fn a_body_that_is_too_slow_is_refused_and_one_of_grpc_is_not() {
    let limits = "limits: { body-rate: 1MiB }\ntimeouts: { body-grace: 1ms }\n";
    let gofe = Gofe::start(&format!("{limits}{ECHO}"));
    let head = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\nconnection: close\r\n";
    let answer = raw(gofe.address, format!("{head}\r\nabc"));
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    gofe.counts(r#"gofe_errors_total{reason="body-too-slow"}"#, 1);
    let mut stream = Wire::connect(gofe.address);
    stream.send(format!("{head}content-type: application/grpc\r\n\r\nabc"));
    gofe.counts(r#"gofe_requests_active{route="/**"}"#, 1);
    stream.send("defghij");
    assert!(stream.head().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_client_has_so_many_connections_and_others_have_theirs() {
    let gofe = Gofe::start(&format!("limits: {{ connections-per-client: 2 }}\n{ECHO}"));
    let mut held = [KeepAlive::connect(gofe.address), KeepAlive::connect(gofe.address)];
    for held in &mut held {
        assert_eq!(held.get("/", &[]).status, 200);
    }
    assert_eq!(raw(gofe.address, "GET / HTTP/1.1\r\nhost: test\r\n\r\n"), "");
    gofe.counts(r#"gofe_connections_refused_total{limit="client"}"#, 1);
    assert_eq!(held[0].get("/", &[]).status, 200);
    drop(held);
    gofe.counts("gofe_connections_active", 0);
    assert_eq!(get(gofe.address, "/", &[]).status, 200);
}

#[test]
fn a_proxy_that_is_trusted_has_the_connections_of_its_clients() {
    let gofe = Gofe::start(&format!(
        "limits: {{ connections-per-client: 1 }}\n\
         listeners: [{{ address: '127.0.0.1:0', trusted-proxies: [127.0.0.1] }}]\n{ECHO}"
    ));
    let mut held: Vec<_> = (0..5).map(|_| KeepAlive::connect(gofe.address)).collect();
    assert!(held.iter_mut().all(|held| held.get("/", &[]).status == 200));
}

#[test]
fn a_response_that_nobody_takes_does_not_keep_others_out() {
    let body = "x".repeat(4 << 20);
    let body: &'static str = body.leak();
    let upstream = Upstream::text(body);
    let gofe = Gofe::start(&format!(
        "workers: 1\nroutes: [{{ upstream: up }}]\nupstreams: {{ up: {{ endpoints: ['{}'] }} }}\n",
        upstream.address
    ));
    let mut deaf: Vec<_> = (0..20).map(|_| Wire::connect(gofe.address)).collect();
    for wire in &mut deaf {
        wire.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    }
    gofe.counts(r#"gofe_requests_active{route="/**"}"#, 20);
    assert_eq!(get(gofe.address, "/", &[]).body.len(), body.len());
}
