//! HTTP/2 towards endpoints.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use http::{HeaderValue, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::{Notify, Semaphore};

use super::peer::Peer;
use super::*;

/// A server on each of whose connections `answer` gives the responses, `streams` of them at a time.
async fn server<F, P>(streams: u32, answer: F) -> Peer
where
    F: Fn(Request<Incoming>) -> P + Clone + Send + 'static,
    P: Future<Output = Body> + Send + 'static,
{
    Peer::new(move |_, wire| {
        let answer = answer.clone();
        async move {
            let service = service_fn(move |request| {
                let body = answer(request);
                async move { Ok::<_, Infallible>(Response::new(body.await)) }
            });
            let mut builder = Builder::new(TokioExecutor::new());
            builder.max_concurrent_streams(streams);
            let _ = builder.serve_connection(TokioIo::new(wire.0), service).await;
        }
    })
    .await
}

fn http2(peer: &Peer) -> Cluster {
    let mut config = config(&[peer.address]);
    config.protocol = Protocol::Http2;
    Cluster::new("users", &config, None, 1)
}

#[tokio::test]
async fn many_requests_at_once_share_a_connection() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&gate);
    let peer = server(100, move |_| {
        let gate = Arc::clone(&waiting);
        async move {
            gate.acquire().await.unwrap().forget();
            Body::full("ok")
        }
    })
    .await;
    let cluster = Arc::new(http2(&peer));
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let cluster = Arc::clone(&cluster);
            tokio::spawn(async move { ask(&cluster, get()).await })
        })
        .collect();
    gate.add_permits(20);
    for asked in asking {
        assert_eq!(asked.await.unwrap(), "ok");
    }
    assert_eq!(ask_after(&gate, &cluster).await, "ok");
    assert_eq!(peer.accepted(), 1);
    assert_eq!(cluster.status().endpoints[0].in_flight, 0);
}

async fn ask_after(gate: &Semaphore, cluster: &Cluster) -> String {
    gate.add_permits(1);
    ask(cluster, get()).await
}

#[tokio::test]
async fn host_becomes_the_authority() {
    let peer = server(100, |request| async move {
        let (uri, headers) = (request.uri().to_string(), request.headers().clone());
        Body::full(format!("{uri} {:?}", headers.get("host")))
    })
    .await;
    assert_eq!(ask(&http2(&peer), get()).await, "http://example.com/a/b?c=d None");
}

#[tokio::test]
async fn bodies_and_trailers_pass_both_ways() {
    let peer = server(100, |request| async move {
        let body = request.into_body().collect().await.unwrap();
        let sum = body.trailers().unwrap()["sum"].to_str().unwrap().to_owned();
        let mut trailers = HeaderMap::new();
        trailers.insert("sum-back", HeaderValue::try_from(sum).unwrap());
        Frames::body(vec![Ok(Frame::data(body.to_bytes())), Ok(Frame::trailers(trailers))])
    })
    .await;
    let body = Frames::body(vec![data("one"), data("two"), trailers("sum", "7")]);
    let sent = http2(&peer).send(0, request(Method::POST, body), Hint::default()).await.unwrap();
    let body = sent.response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["sum-back"], "7");
    assert_eq!(body.to_bytes(), "onetwo");
}

#[tokio::test]
async fn another_connection_is_made_when_streams_run_out() {
    let peer = server(2, |_| async { Body::layered(Held) }).await;
    let cluster = http2(&peer);
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(cluster.send(0, get(), Hint::default()).await.unwrap());
    }
    assert_eq!(peer.accepted(), 3);
    assert_eq!(cluster.status().endpoints[0].in_flight, 5);
    drop(held);
    assert_eq!(cluster.status().endpoints[0].in_flight, 0);
}

/// A body that does not end.
struct Held;

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_never_looks_whole() {
    let breaking = Arc::new(Semaphore::new(0));
    let watched = Arc::clone(&breaking);
    let peer = Peer::new(move |_, wire| {
        let breaking = Arc::clone(&watched);
        async move {
            let service = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Body::layered(Held))) });
            let builder = Builder::new(TokioExecutor::new());
            tokio::select! {
                _ = builder.serve_connection(TokioIo::new(wire.0), service) => {}
                _ = breaking.acquire() => {}
            }
        }
    })
    .await;
    let cluster = http2(&peer);
    let sent = cluster.send(0, get(), Hint::default()).await.unwrap();
    breaking.add_permits(1);
    assert!(text(sent).await.is_err());
    assert_eq!(cluster.status().endpoints[0].failures, 1);
}

#[tokio::test]
async fn a_connection_that_is_going_away_is_left_to_those_on_it() {
    let leave = Arc::new(Notify::new());
    let leaving = Arc::clone(&leave);
    let peer = Peer::new(move |_, wire| {
        let leave = Arc::clone(&leaving);
        async move {
            let service = service_fn(|request: Request<Incoming>| async move {
                let body = if request.uri().path() == "/slow" { Body::layered(Held) } else { Body::full("ok") };
                Ok::<_, Infallible>(Response::new(body))
            });
            let builder = Builder::new(TokioExecutor::new());
            let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(wire.0), service));
            tokio::select! {
                _ = &mut connection => return,
                () = leave.notified() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
            pending::<()>().await;
        }
    })
    .await;
    let cluster = http2(&peer);
    let mut slow = get();
    *slow.uri_mut() = "/slow".parse().unwrap();
    let slow = cluster.send(0, slow, Hint::default()).await.unwrap();
    leave.notify_one();
    while peer.accepted() == 1 {
        assert_eq!(ask(&cluster, get()).await, "ok");
    }
    drop(slow);
}

#[tokio::test]
async fn a_peer_that_speaks_http_1_is_a_bad_gateway() {
    let peer = Peer::always("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let error = http2(&peer).send(0, get(), Hint::default()).await.unwrap_err();
    assert_eq!(error.status().as_u16(), 502, "{error}");
}
