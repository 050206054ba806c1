//! Ordinary traffic in every combination of HTTP versions, and upstreams that fail.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use hyper::{HeaderMap, Request, Response, StatusCode, Version};

use crate::harness::{Body, Gofe, Peer, RawUpstream, Upstream, Wire, fed, full, get, nobody, post, raw, text};

/// A gofe in front of these endpoints.
fn site(upstream: &str, endpoints: &[std::net::SocketAddr]) -> Gofe {
    site_with("", "", upstream, endpoints)
}

fn site_with(settings: &str, route: &str, upstream: &str, endpoints: &[std::net::SocketAddr]) -> Gofe {
    let endpoints: Vec<_> = endpoints.iter().map(|endpoint| format!("'{endpoint}'")).collect();
    let endpoints = endpoints.join(", ");
    Gofe::start(&format!(
        "{settings}routes: [{{ upstream: up {route} }}]\nupstreams: {{ up: {{ endpoints: [{endpoints}] {upstream} }} }}\n"
    ))
}

/// The four ways through gofe.
const PATHS: [(Version, &str); 4] = [
    (Version::HTTP_11, ""),
    (Version::HTTP_11, ", protocol: http2"),
    (Version::HTTP_2, ""),
    (Version::HTTP_2, ", protocol: http2"),
];

async fn connect(version: Version, gofe: &Gofe) -> Peer {
    if version == Version::HTTP_2 { Peer::http2(gofe.address).await } else { Peer::http1(gofe.address).await }
}

/// An upstream that sends every body back, with its trailers.
fn echo() -> Upstream {
    Upstream::start(|request| async move {
        let version = format!("{:?}", request.version());
        let mut response = Response::new(request.into_body().map_err(std::io::Error::other).boxed());
        response.headers_mut().insert("x-upstream-version", version.parse().unwrap());
        response.headers_mut().insert("trailer", "x-sum".parse().unwrap());
        response
    })
}

/// Bytes that do not repeat within a chunk.
fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

#[tokio::test]
async fn bodies_of_some_mebibytes_arrive_byte_for_byte_with_their_trailers() {
    for (version, upstream) in PATHS {
        let echo = echo();
        let gofe = site(upstream, &[echo.address]);
        let mut peer = connect(version, &gofe).await;
        let (feed, body) = fed();
        let chunks: Vec<Bytes> = (0..64).map(|n| pattern(60_000 + n * 101)).collect();
        let whole: Vec<u8> = chunks.concat();
        let feeding = tokio::spawn(async move {
            for chunk in chunks {
                feed.send(Ok(Frame::data(chunk))).await.unwrap();
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "42".parse().unwrap());
            feed.send(Ok(Frame::trailers(trailers))).await.unwrap();
        });
        let request = Request::post("/a").header("te", "trailers").header("trailer", "x-sum").body(body).unwrap();
        let response = peer.send(request).await;
        assert_eq!(response.status(), 200);
        let wanted = if upstream.is_empty() { "HTTP/1.1" } else { "HTTP/2.0" };
        assert_eq!(response.headers()["x-upstream-version"], wanted);
        let collected = response.into_body().collect().await.unwrap();
        feeding.await.unwrap();
        let trailers = collected.trailers().cloned();
        assert!(collected.to_bytes() == whole, "{version:?}{upstream}: the body changed on its way");
        assert_eq!(trailers.expect("trailers")["x-sum"], "42", "{version:?}{upstream}");
    }
}

#[tokio::test]
async fn a_chunk_passes_before_the_next_is_written() {
    for (version, upstream) in PATHS {
        let echo = echo();
        let gofe = site(upstream, &[echo.address]);
        let mut peer = connect(version, &gofe).await;
        let (feed, body) = fed();
        feed.send(Ok(Frame::data(Bytes::from_static(b"first")))).await.unwrap();
        let mut response = peer.send(Request::post("/").body(body).unwrap()).await.into_body();
        for (next, wanted) in [("second", "first"), ("third", "second"), ("", "third")] {
            let frame = response.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), wanted, "{version:?}{upstream}");
            if !next.is_empty() {
                feed.send(Ok(Frame::data(Bytes::from_static(next.as_bytes())))).await.unwrap();
            }
        }
        drop(feed);
        assert!(response.collect().await.unwrap().to_bytes().is_empty());
    }
}

/// More than the sockets and windows between two peers hold.
const FLOOD: usize = 64 << 20;

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_upstream() {
    for (version, upstream) in PATHS {
        let (feed, body) = fed();
        let body = Mutex::new(Some(body));
        let body = Arc::new(body);
        let up = Upstream::start(move |_| {
            let body = body.lock().unwrap().take();
            async move { Response::new(body.unwrap_or_else(|| full("again"))) }
        });
        let gofe = site(upstream, &[up.address]);
        let mut peer = connect(version, &gofe).await;
        let before = gofe.resident();
        let response = peer.send(Request::get("/").body(full("")).unwrap()).await;
        let fed = flood(&feed).await;
        assert!(fed < FLOOD, "{version:?}{upstream}: the upstream could write {fed} bytes that nobody read");
        assert!(gofe.resident() < before + (16 << 10), "{version:?}{upstream}: gofe holds the body");
        drop(feed);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), fed, "{version:?}{upstream}");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_read_stops_the_client() {
    for (version, upstream) in PATHS {
        let release = Arc::new(tokio::sync::Notify::new());
        let released = release.clone();
        let up = Upstream::start(move |request| {
            let released = released.clone();
            async move {
                released.notified().await;
                let length = request.into_body().collect().await.unwrap().to_bytes().len();
                Response::new(http_body_util::Full::from(length.to_string()).map_err(|never| match never {}).boxed())
            }
        });
        let gofe = site(upstream, &[up.address]);
        let mut peer = connect(version, &gofe).await;
        let (feed, body) = fed();
        let answer = tokio::spawn(async move { peer.send(Request::post("/").body(body).unwrap()).await });
        let fed = flood(&feed).await;
        assert!(fed < FLOOD, "{version:?}{upstream}: the client could write {fed} bytes that nobody read");
        release.notify_one();
        drop(feed);
        assert_eq!(text(answer.await.unwrap().into_body()).await, fed.to_string(), "{version:?}{upstream}");
    }
}

/// Feeds until nobody has taken anything for a while, or it is clear that somebody takes everything.
async fn flood(feed: &crate::harness::Feed) -> usize {
    let chunk = pattern(64 << 10);
    let mut fed = 0;
    while fed < FLOOD {
        let sent = tokio::time::timeout(STILL, feed.send(Ok(Frame::data(chunk.clone())))).await;
        if sent.is_err() {
            break;
        }
        sent.unwrap().unwrap();
        fed += chunk.len();
    }
    fed
}

/// A producer that nobody released for so long stands still; one that runs on slowly only ends the flood early.
const STILL: std::time::Duration = std::time::Duration::from_millis(300);

#[tokio::test]
async fn connections_on_both_sides_are_used_again() {
    for (version, upstream) in PATHS {
        let connections = Arc::new(AtomicUsize::new(0));
        let up = counted(connections.clone());
        let gofe = site(upstream, &[up]);
        let mut peer = connect(version, &gofe).await;
        if upstream.is_empty() {
            for _ in 0..5 {
                assert_eq!(peer.get("/").await, "hello");
            }
            assert_eq!(connections.load(Ordering::Relaxed), 1, "{version:?}");
        }
    }
}

/// An upstream of HTTP/1.1 that counts its connections.
fn counted(connections: Arc<AtomicUsize>) -> std::net::SocketAddr {
    let upstream = RawUpstream::start();
    let address = upstream.address;
    std::thread::spawn(move || {
        while let Some(mut wire) = upstream.another() {
            connections.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || {
                while wire.try_head().is_some() {
                    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
                }
            });
        }
    });
    address
}

#[test]
fn gofe_asks_for_a_body_that_waits_to_be_asked_for() {
    let echo = echo();
    let gofe = site("", &[echo.address]);
    let mut wire = Wire::connect(gofe.address);
    wire.send("POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    assert!(wire.head().starts_with("HTTP/1.1 100 "));
    wire.send("hello");
    assert!(wire.head().starts_with("HTTP/1.1 200 "));
    wire.until("hello");
}

#[test]
fn a_body_that_nobody_wants_is_not_asked_for() {
    let gofe = Gofe::start("routes: [{ respond: { status: 403, body: no } }]\n");
    let mut wire = Wire::connect(gofe.address);
    wire.send("POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    assert!(wire.head().starts_with("HTTP/1.1 403 "));
}

#[test]
fn fields_of_one_connection_end_there_and_the_upstream_learns_who_asked() {
    let gofe = Gofe::start("routes: [{ upstream: echo }]\nupstreams: { echo: { builtin: echo } }\n");
    let headers = [
        ("connection", "x-mine, keep-alive"),
        ("x-mine", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "gzip"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "Basic eA=="),
        ("forwarded", "for=1.2.3.4"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-kept", "yes"),
    ];
    let seen = get(gofe.address, "/", &headers).json()["headers"].clone();
    for gone in ["x-mine", "keep-alive", "proxy-connection", "te", "upgrade", "proxy-authorization", "connection"] {
        assert!(seen.get(gone).is_none(), "{gone}: {seen}");
    }
    assert_eq!(seen["x-kept"], "yes");
    assert_eq!(seen["x-forwarded-for"], "127.0.0.1");
    assert_eq!(seen["x-forwarded-proto"], "http");
    assert_eq!(seen["x-forwarded-host"], "test");
    assert_eq!(seen["forwarded"], "for=127.0.0.1;proto=http;host=\"test\"");
    assert_eq!(seen["via"], "1.1 gofe");
}

#[test]
fn a_response_loses_the_fields_of_its_connection_too() {
    let upstream = RawUpstream::answering(
        "HTTP/1.1 200 OK\r\nconnection: close, x-mine\r\nx-mine: 1\r\nkeep-alive: timeout=5\r\nx-kept: yes\r\n\
         set-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 2\r\n\r\nok",
    );
    let gofe = site("", &[upstream]);
    let answer = get(gofe.address, "/", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    assert!(answer.header("x-mine").is_none() && answer.header("keep-alive").is_none(), "{}", answer.head);
    assert_eq!((answer.header("x-kept"), answer.header("via")), (Some("yes"), Some("1.1 gofe")));
    assert_eq!(answer.head.matches("set-cookie").count(), 2, "{}", answer.head);
}

#[test]
fn responses_without_a_body_have_none() {
    let upstream = Upstream::start(|request| async move {
        let mut response = Response::new(full(""));
        if request.method() == "HEAD" {
            response.headers_mut().insert("content-length", "12345".parse().unwrap());
        } else {
            let status = request.uri().path()[1..].parse::<u16>().unwrap();
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
        }
        response
    });
    let gofe = site("", &[upstream.address]);
    // One connection for all: a byte of a body would be taken for the next head.
    let mut wire = Wire::connect(gofe.address);
    let head = wire.send("HEAD / HTTP/1.1\r\nhost: test\r\n\r\n").head();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-length: 12345"), "{head}");
    for status in ["204", "304"] {
        let head = wire.send(format!("GET /{status} HTTP/1.1\r\nhost: test\r\n\r\n")).head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
    assert!(wire.send("GET /200 HTTP/1.1\r\nhost: test\r\n\r\n").head().starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_target_in_absolute_form_takes_the_place_of_the_host() {
    let gofe =
        Gofe::start("routes: [{ match: { host: right }, upstream: echo }]\nupstreams: { echo: { builtin: echo } }\n");
    let answer = raw(gofe.address, "GET http://right/a?b=c HTTP/1.1\r\nhost: wrong\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("/a?b=c") && !answer.contains("wrong"), "{answer}");
}

#[test]
fn http_1_0_clients_are_served() {
    let upstream = Upstream::start(|_| async {
        let (feed, body) = fed();
        tokio::spawn(async move { feed.send(Ok(Frame::data(Bytes::from_static(b"streamed")))).await });
        Response::new(body)
    });
    let gofe = site("", &[upstream.address]);
    let answer = raw(gofe.address, "GET / HTTP/1.0\r\n\r\n");
    assert!(answer.contains(" 200 ") && answer.ends_with("\r\n\r\nstreamed"), "{answer}");
}

#[test]
fn curl_is_served_in_both_versions() {
    let gofe = Gofe::start("routes: [{ upstream: echo }]\nupstreams: { echo: { builtin: echo } }\n");
    for (flag, version) in [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")] {
        let output = Command::new("curl")
            .args(["-sS", "--noproxy", "*", flag, "-d", "hello", "-w", " %{http_version} %{http_code}"])
            .arg(format!("http://{}/a", gofe.address))
            .output()
            .expect("curl is installed");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.ends_with(&format!(" {version} 200")) && text.contains("hello"), "{flag}: {text}");
    }
}

#[tokio::test]
async fn round_robin_gives_each_endpoint_its_turn() {
    let ups: Vec<_> = ["a", "b", "c"].into_iter().map(Upstream::text).collect();
    let gofe = site("", &ups.iter().map(|up| up.address).collect::<Vec<_>>());
    // One connection stays with one worker, whose turns these are.
    let mut peer = Peer::http1(gofe.address).await;
    let mut answers = Vec::new();
    for _ in 0..9 {
        answers.push(peer.get("/").await);
    }
    for name in ["a", "b", "c"] {
        assert_eq!(answers.iter().filter(|answer| *answer == name).count(), 3, "{answers:?}");
    }
    assert!(answers.windows(2).all(|pair| pair[0] != pair[1]), "{answers:?}");
}

#[tokio::test]
async fn least_request_avoids_the_endpoint_that_is_busy() {
    let stuck = RawUpstream::start();
    let free = Upstream::text("free");
    let gofe = site(", balance: least-request", &[stuck.address, free.address]);
    // Of two endpoints both are compared, so once one request hangs, all others go to the other endpoint.
    let mut peer = Peer::http2(gofe.address).await;
    let mut hanging = None;
    for _ in 0..100 {
        let request = Request::get("/").body(full("")).unwrap();
        let Peer::Http2(sender) = &peer else { unreachable!() };
        let mut other = Peer::Http2(sender.clone());
        let answer = tokio::spawn(async move { other.send(request).await.status() });
        if let Some(wire) = stuck.poll(&answer).await {
            hanging = Some((wire, answer));
            break;
        }
    }
    let hanging = hanging.expect("the first endpoint is chosen once in a hundred");
    for _ in 0..20 {
        assert_eq!(peer.get("/").await, "free");
    }
    drop(hanging);
}

#[test]
fn an_endpoint_that_refuses_costs_its_own_requests_only() {
    let works = Upstream::text("works");
    let gofe = site("", &[nobody(), works.address]);
    let answers: Vec<_> = (0..10).map(|_| get(gofe.address, "/", &[])).collect();
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 502)), "{answers:?}");
    assert!(answers.iter().filter(|answer| answer.body == "works").count() >= 4, "{answers:?}");
}

#[test]
fn an_upstream_that_refuses_is_502() {
    for protocol in ["", ", protocol: http2"] {
        assert_eq!(get(site(protocol, &[nobody()]).address, "/", &[]).status, 502);
    }
}

#[test]
fn an_upstream_that_hangs_is_504() {
    for protocol in ["", ", protocol: http2"] {
        let upstream = RawUpstream::start();
        let gofe = site_with("", ", timeout: 100ms", protocol, &[upstream.address]);
        assert_eq!(get(gofe.address, "/", &[]).status, 504);
        assert_eq!(post(gofe.address, "/", &[], "hello").status, 504);
    }
}

#[test]
fn garbage_from_an_upstream_is_502() {
    for garbage in [
        "hello\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 2 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nx a: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-a: b",
        "",
    ] {
        for protocol in ["", ", protocol: http2"] {
            let gofe = site(protocol, &[RawUpstream::answering(garbage)]);
            let answer = get(gofe.address, "/", &[]);
            assert_eq!(answer.status, 502, "{garbage:?}{protocol}: {answer:?}");
        }
    }
}

/// Whether the client learns that the response is not whole: what was not written yet may be lost, its head too.
async fn breaks(peer: &mut Peer) -> bool {
    match peer.try_send(Request::get("/").body(full("")).unwrap()).await {
        Ok(response) => response.into_body().collect().await.is_err(),
        Err(_) => true,
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_never_looks_whole() {
    for broken in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ] {
        let gofe = site("", &[RawUpstream::answering(broken)]);
        for version in [Version::HTTP_11, Version::HTTP_2] {
            assert!(breaks(&mut connect(version, &gofe).await).await, "{version:?} {broken:?}");
        }
    }
}

#[tokio::test]
async fn an_http2_response_that_breaks_off_never_looks_whole() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let upstream = Upstream::start(|_| async {
            let (feed, body) = fed();
            tokio::spawn(async move {
                let _ = feed.send(Ok(Frame::data(Bytes::from_static(b"half")))).await;
                let _ = feed.send(Err(std::io::Error::other("broken"))).await;
            });
            Response::new(body)
        });
        let gofe = site(", protocol: http2", &[upstream.address]);
        assert!(breaks(&mut connect(version, &gofe).await).await, "{version:?}");
    }
}

#[tokio::test]
async fn a_request_that_breaks_off_never_looks_whole() {
    for (version, upstream) in PATHS {
        let (report, mut reports) = tokio::sync::mpsc::unbounded_channel();
        let up = Upstream::start(move |request: Request<Incoming>| {
            let report = report.clone();
            async move {
                if request.uri().path() == "/broken" {
                    let mut body = request.into_body();
                    let _ = report.send(body.frame().await.is_some_and(|frame| frame.is_ok()));
                    let _ = report.send(body.collect().await.is_err());
                }
                Response::<Body>::new(full("fine"))
            }
        });
        let gofe = site(upstream, &[up.address]);
        let mut peer = connect(version, &gofe).await;
        let (feed, body) = fed();
        let sending = tokio::spawn(async move { peer.try_send(Request::post("/broken").body(body).unwrap()).await });
        feed.send(Ok(Frame::data(Bytes::from_static(b"half")))).await.unwrap();
        assert_eq!(reports.recv().await, Some(true), "{version:?}{upstream}: the first half comes");
        feed.send(Err(std::io::Error::other("the client goes away"))).await.unwrap();
        let broken = tokio::time::timeout(std::time::Duration::from_secs(20), reports.recv()).await;
        assert_eq!(broken, Ok(Some(true)), "{version:?}{upstream}");
        drop(sending.await);
        assert_eq!(connect(version, &gofe).await.get("/").await, "fine");
    }
}
