//! What goes over the wire in HTTP/1.1.

use http::HeaderValue;
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, oneshot};

use super::peer::Peer;
use super::*;

/// What a peer sees of a request, up to and with `end`.
async fn seen(request: Box<Request<Body>>, end: &'static str) -> String {
    let (tell, mut told) = mpsc::unbounded_channel();
    let peer = Peer::new(move |_, mut wire| {
        let tell = tell.clone();
        async move {
            tell.send(wire.until(end).await.unwrap()).unwrap();
            wire.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    })
    .await;
    ask(&cluster(&[peer.address]), request).await;
    told.recv().await.unwrap()
}

#[tokio::test]
async fn a_request_keeps_its_form_and_host() {
    let mut request = get();
    *request.version_mut() = http::Version::HTTP_2;
    assert_eq!(seen(request, "\r\n\r\n").await, "GET /a/b?c=d HTTP/1.1\r\nhost: example.com\r\n\r\n");
}

#[tokio::test]
async fn trailers_are_announced_to_the_next_hop() {
    let mut request = get();
    request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
    let seen = seen(request, "\r\n\r\n").await;
    assert!(seen.contains("te: trailers\r\n") && seen.contains("connection: te\r\n"), "{seen}");
}

#[tokio::test]
async fn a_length_that_lies_is_corrected() {
    for (said, body) in [("9", "abc"), ("2", "abc"), ("x", "abc")] {
        let mut request = post(body);
        request.headers_mut().insert("content-length", HeaderValue::from_static(said));
        let seen = seen(request, "abc").await;
        assert_eq!(seen.matches("content-length: 3\r\n").count(), 1, "{seen}");
    }
    let mut request = post("");
    request.headers_mut().append("content-length", HeaderValue::from_static("5"));
    request.headers_mut().append("content-length", HeaderValue::from_static("5"));
    let seen = seen(request, "\r\n\r\n").await;
    assert_eq!(seen.matches("content-length").count(), 1, "{seen}");
    assert!(seen.contains("content-length: 0\r\n"), "{seen}");
}

#[tokio::test]
async fn a_body_of_unknown_length_is_streamed_in_chunks() {
    let body = Frames::body(vec![data("one"), data("three")]);
    let seen = seen(request(Method::POST, body), "0\r\n\r\n").await;
    assert!(seen.contains("transfer-encoding: chunked\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"), "{seen}");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let (tell, told) = oneshot::channel();
    let tell = std::sync::Mutex::new(Some(tell));
    let peer = Peer::new(move |_, mut wire| {
        let tell = tell.lock().unwrap().take();
        async move {
            tell.unwrap().send(wire.until("0\r\nsum: 7\r\n\r\n").await).unwrap();
            wire.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ncount: 8\r\n\r\n").await;
        }
    })
    .await;
    let mut request = request(Method::POST, Frames::body(vec![data("one"), trailers("sum", "7")]));
    request.headers_mut().insert("trailer", HeaderValue::from_static("sum"));
    let sent = cluster(&[peer.address]).send(0, request, Hint::default()).await.unwrap();
    let body = sent.response.into_body().collect().await.unwrap();
    assert!(told.await.unwrap().is_some());
    assert_eq!(body.trailers().unwrap()["count"], "8");
}

#[tokio::test]
async fn an_old_response_becomes_one_of_http_1_1() {
    let peer = Peer::new(|_, mut wire| async move {
        wire.head().await;
        wire.say("HTTP/1.0 200 OK\r\n\r\nuntil the end").await;
    })
    .await;
    let sent = cluster(&[peer.address]).send(0, get(), Hint::default()).await.unwrap();
    assert_eq!(sent.response.version(), http::Version::HTTP_11);
    assert_eq!(text(sent).await.unwrap(), "until the end");
}

#[tokio::test]
async fn informational_responses_are_passed_over() {
    let peer = Peer::always(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    assert_eq!(ask(&cluster(&[peer.address]), get()).await, "ok");
}

#[tokio::test]
async fn an_answer_may_come_before_the_request_has_ended() {
    let peer = Peer::new(|_, mut wire| async move {
        wire.head().await;
        wire.say("HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 3\r\n\r\nbig").await;
        wire.closed().await;
    })
    .await;
    let cluster = cluster(&[peer.address]);
    let sent = cluster.send(0, request(Method::POST, Body::layered(Endless)), Hint::default()).await.unwrap();
    assert_eq!(sent.response.status().as_u16(), 413);
    assert_eq!(text(sent).await.unwrap(), "big");
}

/// A body whose end does not come.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn a_request_goes_on_while_nobody_reads_its_response() {
    const LENGTH: usize = 8 << 20;
    let (tell, mut told) = mpsc::unbounded_channel();
    let peer = Peer::new(move |_, mut wire| {
        let tell = tell.clone();
        async move {
            wire.head().await;
            wire.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok").await;
            let mut body = vec![0; LENGTH];
            tell.send(wire.0.read_exact(&mut body).await.unwrap()).unwrap();
            wire.say("ok").await;
        }
    })
    .await;
    let cluster = cluster(&[peer.address]);
    let sent = cluster.send(0, request(Method::POST, Body::full(vec![0; LENGTH])), Hint::default()).await.unwrap();
    assert_eq!(told.recv().await, Some(LENGTH));
    assert_eq!(text(sent).await.unwrap(), "okok");
}

#[tokio::test]
async fn a_large_response_arrives_whole() {
    const LENGTH: usize = 3 << 20;
    for framing in ["content-length: 3145728\r\n", "transfer-encoding: chunked\r\n"] {
        let peer = Peer::new(move |_, mut wire| async move {
            while wire.head().await.is_some() {
                wire.say(&format!("HTTP/1.1 200 OK\r\n{framing}\r\n")).await;
                let body = "x".repeat(LENGTH);
                if framing.starts_with("transfer") {
                    for chunk in body.as_bytes().chunks(10_000) {
                        wire.say(&format!("{:x}\r\n{}\r\n", chunk.len(), "x".repeat(chunk.len()))).await;
                    }
                    wire.say("0\r\n\r\n").await;
                } else {
                    wire.say(&body).await;
                }
            }
        })
        .await;
        let cluster = cluster(&[peer.address]);
        for _ in 0..2 {
            assert_eq!(ask(&cluster, get()).await.len(), LENGTH);
        }
        assert_eq!(peer.accepted(), 1);
    }
}
