//! Plugins that look at bodies, and the order and number of the calls that plugins get.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper::{Request, Response};

use crate::harness::{Body, Gofe, Peer, RawUpstream, Upstream, Wire, fed, full, get, guest, post, text};

/// A gofe with a chain of probes, each with this configuration (`name` is added), in front of this upstream.
fn site(upstream: &str, probes: &[(&str, &str)]) -> Gofe {
    site_with(upstream, "", probes)
}

fn site_with(upstream: &str, settings: &str, probes: &[(&str, &str)]) -> Gofe {
    let file = guest("bodies");
    let mut plugins = String::new();
    let mut names = Vec::new();
    for (name, config) in probes {
        let config = format!("{{ name: {name} {config} }}");
        plugins += &format!("  {name}: {{ source: 'file:{}', config: {config} {settings} }}\n", file.display());
        names.push(*name);
    }
    Gofe::start(&format!(
        "plugins:\n{plugins}chains: {{ all: [{}] }}\nroutes: [{{ chain: all, upstream: up }}]\nupstreams: {{ up: {upstream} }}\n",
        names.join(", ")
    ))
}

const ECHO: &str = "{ builtin: echo }";

fn endpoint(address: std::net::SocketAddr) -> String {
    format!("{{ endpoints: ['{address}'] }}")
}

/// An upstream that sends every body back.
fn mirror() -> Upstream {
    Upstream::start(|request: Request<hyper::body::Incoming>| async move {
        Response::<Body>::new(request.into_body().map_err(std::io::Error::other).boxed())
    })
}

const BOTH_STREAM: &str = ", request_body: stream, response_body: stream";

#[test]
fn a_request_passes_the_steps_in_order_and_its_response_in_reverse() {
    let gofe = site(ECHO, &[("a", ""), ("b", ""), ("c", "")]);
    let answer = get(gofe.address, "/", &[]);
    assert_eq!(answer.json()["headers"]["x-request-steps"], serde_json::json!(["a", "b", "c"]));
    assert_eq!(steps(&answer.head), ["c", "b", "a"]);
}

/// The values of `x-response-steps`.
fn steps(head: &str) -> Vec<&str> {
    head.lines().filter_map(|line| line.strip_prefix("x-response-steps: ")).collect()
}

#[test]
fn a_step_that_answers_is_seen_by_those_before_it_only() {
    let upstream = RawUpstream::start();
    let probes = [("a", ""), ("b", ", reply: request-headers"), ("c", "")];
    let gofe = site(&endpoint(upstream.address), &probes);
    let answer = get(gofe.address, "/", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (418, "request-headers"));
    assert_eq!(steps(&answer.head), ["a"]);
    assert!(upstream.is_untouched());
}

#[test]
fn a_step_that_answers_in_the_response_takes_its_place() {
    let gofe = site(ECHO, &[("a", ""), ("b", ", reply: response-headers"), ("c", "")]);
    let answer = get(gofe.address, "/", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (418, "response-headers"));
    assert!(steps(&answer.head).contains(&"a"), "{}", answer.head);
}

#[test]
fn streamed_bodies_are_changed_in_both_directions() {
    let mirror = mirror();
    let gofe = site(&endpoint(mirror.address), &[("a", &format!("{BOTH_STREAM}, shout: true"))]);
    assert_eq!(post(gofe.address, "/", &[], "hello").body, "HELLO");
}

#[test]
fn buffered_bodies_are_changed_in_both_directions_and_headers_wait_for_them() {
    let gofe = site(ECHO, &[("a", ", request_body: buffer, response_body: buffer, limit: 10000, shout: true")]);
    let answer = post(gofe.address, "/", &[], "hello");
    assert!(answer.body.contains("\"HELLO\""), "{}", answer.body);
    // Each body phase set this field, in headers that would have gone on long ago.
    assert!(answer.body.contains("\"X-JUDGED\""), "{}", answer.body);
    assert!(answer.header("x-judged").is_some(), "{}", answer.head);
}

#[test]
fn the_upstream_never_sees_a_request_whose_body_is_refused() {
    let upstream = RawUpstream::start();
    let probes = [("a", ", request_body: buffer, limit: 1000, forbidden: evil")];
    let gofe = site(&endpoint(upstream.address), &probes);
    let answer = post(gofe.address, "/", &[], "something evil");
    assert_eq!((answer.status, answer.body.as_str()), (403, "forbidden"));
    // In pieces too, where no piece alone shows it.
    let mut wire = Wire::connect(gofe.address);
    wire.send("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3\r\n ev\r\n");
    wire.send("2\r\nil\r\n0\r\n\r\n");
    assert!(wire.head().starts_with("HTTP/1.1 403 "));
    assert!(upstream.is_untouched());
}

#[test]
fn the_client_never_sees_a_response_whose_body_is_refused() {
    let upstream = Upstream::text("something evil");
    let probes = [("a", ", response_body: buffer, limit: 1000, forbidden: evil")];
    let gofe = site(&endpoint(upstream.address), &probes);
    let answer = get(gofe.address, "/", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (403, "forbidden"));
}

#[test]
fn past_the_buffers_limit_a_request_is_413_and_a_response_502() {
    let upstream = RawUpstream::start();
    let gofe = site(&endpoint(upstream.address), &[("a", ", request_body: buffer, limit: 10")]);
    assert_eq!(post(gofe.address, "/", &[], "0123456789a").status, 413);
    assert!(upstream.is_untouched());
    let upstream = Upstream::text("0123456789a");
    let gofe = site(&endpoint(upstream.address), &[("a", ", response_body: buffer, limit: 10")]);
    let answer = get(gofe.address, "/", &[]);
    assert_eq!(answer.status, 502);
    assert!(!answer.body.contains("0123456789a"), "{}", answer.body);
}

#[tokio::test]
async fn past_the_buffers_limit_a_body_passes_untouched_where_the_plugin_says_so() {
    let mirror = mirror();
    let config = ", request_body: buffer, response_body: buffer, limit: 10, pass: true, shout: true";
    let gofe = site(&endpoint(mirror.address), &[("a", config)]);
    assert_eq!(post(gofe.address, "/", &[], "short").body, "SHORT");
    assert_eq!(post(gofe.address, "/", &[], "exactly 10").body, "EXACTLY 10");
    assert_eq!(post(gofe.address, "/", &[], "longer than 10").body, "longer than 10");
    // A large one streams: its first part comes back while the client still writes.
    for mut peer in [Peer::http1(gofe.address).await, Peer::http2(gofe.address).await] {
        let (feed, body) = fed();
        feed.send(Ok(Frame::data(Bytes::from_static(b"longer than 10")))).await.unwrap();
        let mut response = peer.send(Request::post("/").body(body).unwrap()).await.into_body();
        assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "longer than 10");
        feed.send(Ok(Frame::data(Bytes::from_static(b", the end")))).await.unwrap();
        drop(feed);
        assert_eq!(text(response).await, ", the end");
    }
}

#[test]
fn a_plugin_can_answer_from_the_phases_of_buffered_bodies() {
    for phase in ["request-body", "response-body"] {
        let gofe = site(
            ECHO,
            &[("a", &format!(", request_body: buffer, response_body: buffer, limit: 9999, reply: {phase}"))],
        );
        let answer = post(gofe.address, "/", &[], "hello");
        assert_eq!((answer.status, answer.body.as_str()), (418, phase));
    }
}

#[test]
fn a_plugin_can_answer_while_a_request_body_streams() {
    let mirror = mirror();
    let gofe = site(&endpoint(mirror.address), &[("a", ", request_body: stream, reply: request-body")]);
    let upstream = RawUpstream::start();
    let answer = post(gofe.address, "/", &[], "hello");
    assert!(answer.status == 418 || answer.status == 200 && answer.body.is_empty(), "{answer:?}");
    // An upstream that waits for the body before it answers leaves the plugin's answer as the only one.
    let gofe = site(&endpoint(upstream.address), &[("a", ", request_body: stream, reply: request-body")]);
    let answer = post(gofe.address, "/", &[], "hello");
    assert_eq!((answer.status, answer.body.as_str()), (418, "request-body"));
}

#[tokio::test]
async fn an_answer_in_a_streamed_response_breaks_it_off() {
    let upstream = Upstream::text("hello");
    let gofe = site(&endpoint(upstream.address), &[("a", ", response_body: stream, reply: response-body")]);
    for mut peer in [Peer::http1(gofe.address).await, Peer::http2(gofe.address).await] {
        let whole = match peer.try_send(Request::get("/").body(full("")).unwrap()).await {
            Ok(response) => response.into_body().collect().await.is_ok(),
            Err(_) => false,
        };
        assert!(!whole);
    }
}

#[tokio::test]
async fn trailers_pass_body_phases() {
    let mirror = mirror();
    for config in [BOTH_STREAM, ", request_body: buffer, response_body: buffer, limit: 1000"] {
        let gofe = site(&format!("{{ endpoints: ['{}'], protocol: http2 }}", mirror.address), &[("a", config)]);
        let mut peer = Peer::http2(gofe.address).await;
        let (feed, body) = fed();
        let feeding = tokio::spawn(async move {
            feed.send(Ok(Frame::data(Bytes::from_static(b"hello")))).await.unwrap();
            let mut trailers = hyper::HeaderMap::new();
            trailers.insert("x-sum", "42".parse().unwrap());
            feed.send(Ok(Frame::trailers(trailers))).await.unwrap();
        });
        let response = peer.send(Request::post("/").body(body).unwrap()).await;
        let collected = response.into_body().collect().await.unwrap();
        feeding.await.unwrap();
        assert_eq!(collected.trailers().expect("trailers")["x-sum"], "42", "{config}");
        assert_eq!(collected.to_bytes(), "hello");
    }
}

#[test]
fn complete_is_called_once_for_each_request_whatever_becomes_of_it() {
    let upstream = RawUpstream::start();
    let mut gofe = site(&endpoint(upstream.address), &[("a", ", complete: true"), ("b", ", complete: true")]);
    // Answered.
    let mut client = Wire::connect(gofe.address);
    client.send("GET /answered HTTP/1.1\r\nhost: test\r\n\r\n");
    let mut connection = upstream.next();
    connection.head();
    connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    client.until("hello");
    // The upstream breaks off.
    client.send("GET /broken HTTP/1.1\r\nhost: test\r\n\r\n");
    connection.head();
    connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe");
    client.until("he");
    drop(connection);
    client.rest();
    // The client goes away before there is an answer, and in the middle of one.
    let mut client = Wire::connect(gofe.address);
    client.send("GET /left HTTP/1.1\r\nhost: test\r\n\r\n");
    let mut connection = upstream.next();
    connection.head();
    drop(client);
    connection.rest();
    let mut client = Wire::connect(gofe.address);
    client.send("GET /cut HTTP/1.1\r\nhost: test\r\n\r\n");
    let mut connection = upstream.next();
    connection.head();
    connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe");
    client.until("he");
    drop(client);
    connection.rest();
    gofe.signal("TERM");
    assert!(gofe.ended().success());
    let out = gofe.stdout();
    let mut lines: Vec<_> = out.lines().collect();
    lines.sort_unstable();
    let wanted = ["/answered 200", "/broken 200", "/cut 200", "/left 0"];
    let wanted: Vec<_> = ["a", "b"].iter().flat_map(|name| wanted.map(|line| format!("{name} {line}"))).collect();
    assert_eq!(lines, wanted);
}

/// How many calls the instance that served the response headers had served.
fn calls(answer: &crate::harness::Answer) -> u32 {
    answer.header("x-calls").expect("the probe counts").parse().unwrap()
}

#[test]
fn an_instance_serves_one_call_or_one_request_or_is_new_for_each() {
    let counts = |instance: &str| {
        let settings = format!(", instance: {instance}");
        let gofe = site_with(ECHO, &settings, &[("a", "")]);
        (0..6).map(|_| calls(&get(gofe.address, "/", &[]))).collect::<Vec<_>>()
    };
    // Two calls of each request, on an instance that nobody used before.
    assert_eq!(counts("fresh"), [2; 6]);
    // An instance is used again by later requests, each of them with both calls.
    let shared = counts("per-request");
    assert!(shared.iter().all(|count| count % 2 == 0), "{shared:?}");
    assert!(shared.iter().any(|count| *count > 2), "{shared:?}");
    assert!(counts("per-call").iter().any(|count| *count > 2));
}
