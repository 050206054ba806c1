//! Connections are kept, and a stale one never surfaces.

use tokio::sync::mpsc;

use super::peer::{Peer, Wire};
use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn connections_for_three(response: &'static str, method: Method) -> usize {
    let peer = Peer::always(response).await;
    let cluster = cluster(&[peer.address]);
    for _ in 0..3 {
        ask(&cluster, request(method.clone(), Body::Empty)).await;
    }
    peer.accepted()
}

#[tokio::test]
async fn a_connection_serves_request_after_request() {
    assert_eq!(connections_for_three(OK, Method::GET).await, 1);
    assert_eq!(connections_for_three("HTTP/1.1 204 No Content\r\n\r\n", Method::GET).await, 1);
    assert_eq!(connections_for_three("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Method::GET).await, 1);
    assert_eq!(connections_for_three("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", Method::HEAD).await, 1);
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    assert_eq!(connections_for_three(chunked, Method::GET).await, 1);
    let trailers = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: a\r\n\r\n2\r\nok\r\n0\r\na: b\r\n\r\n";
    assert_eq!(connections_for_three(trailers, Method::GET).await, 1);
}

#[tokio::test]
async fn requests_of_all_kinds_share_a_connection() {
    let peer = Peer::new(|_, mut wire| async move {
        while let Some(head) = wire.head().await {
            if head.starts_with("POST") {
                wire.until("body").await;
            }
            wire.say(OK).await;
        }
    })
    .await;
    let cluster = cluster(&[peer.address]);
    // So many that the task runs out of its turn again and again.
    for _ in 0..300 {
        assert_eq!(ask(&cluster, get()).await, "ok");
    }
    for _ in 0..300 {
        assert_eq!(ask(&cluster, post("body")).await, "ok");
        assert_eq!(ask(&cluster, get()).await, "ok");
    }
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn a_connection_goes_from_one_client_to_the_next() {
    let peer = Peer::always(OK).await;
    let cluster = std::sync::Arc::new(cluster(&[peer.address]));
    for _ in 0..20 {
        let cluster = std::sync::Arc::clone(&cluster);
        assert_eq!(tokio::spawn(async move { ask(&cluster, get()).await }).await.unwrap(), "ok");
    }
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn a_connection_that_the_peer_gives_up_is_not_used_again() {
    let close = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(connections_for_three(close, Method::GET).await, 3);
    let old = "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(connections_for_three(old, Method::GET).await, 3);
}

#[tokio::test]
async fn each_worker_has_connections_of_its_own() {
    let peer = Peer::always(OK).await;
    let cluster = Cluster::new("users", &config(&[peer.address]), None, 2);
    for worker in [0, 1, 0, 1] {
        text(cluster.send(worker, get(), Hint::default()).await.unwrap()).await.unwrap();
    }
    assert_eq!(peer.accepted(), 2);
}

#[tokio::test]
async fn a_body_that_is_dropped_half_way_takes_its_connection_along() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let peer = Peer::new(move |_, mut wire| {
        let tell = tell.clone();
        async move {
            wire.head().await;
            wire.say("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nbegin").await;
            wire.closed().await;
            tell.send(()).unwrap();
        }
    })
    .await;
    let cluster = cluster(&[peer.address]);
    drop(cluster.send(0, get(), Hint::default()).await.unwrap());
    told.recv().await.unwrap();
    cluster.send(0, get(), Hint::default()).await.unwrap();
    assert_eq!(peer.accepted(), 2);
}

/// A peer whose first connection answers once and then plays `then`; later ones serve.
async fn fickle<P>(then: fn(Wire) -> P) -> Peer
where
    P: Future<Output = ()> + Send + 'static,
{
    Peer::new(move |number, mut wire| async move {
        wire.head().await;
        wire.say(OK).await;
        if number == 1 {
            return then(wire).await;
        }
        while wire.head().await.is_some() {
            wire.say(OK).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_is_not_noticed() {
    for request in [get, || post("body")] {
        let peer = fickle(|wire| async { drop(wire) }).await;
        let cluster = cluster(&[peer.address]);
        ask(&cluster, get()).await;
        assert_eq!(ask(&cluster, request()).await, "ok");
        assert_eq!(peer.accepted(), 2);
    }
}

#[tokio::test]
async fn a_repeatable_request_survives_a_close_at_the_moment_it_is_sent() {
    let peer = fickle(|mut wire| async move { drop(wire.head().await) }).await;
    let cluster = cluster(&[peer.address]);
    ask(&cluster, get()).await;
    assert_eq!(ask(&cluster, get()).await, "ok");
    assert_eq!(peer.accepted(), 2);
}

#[tokio::test]
async fn a_request_that_may_have_had_an_effect_is_not_sent_twice() {
    let peer = fickle(|mut wire| async move { drop(wire.until("body").await) }).await;
    let cluster = cluster(&[peer.address]);
    ask(&cluster, get()).await;
    let error = cluster.send(0, post("body"), Hint::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), ("reset", 502));
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn a_repeatable_request_is_sent_twice_at_most() {
    let peer = Peer::new(|number, mut wire| async move {
        wire.head().await;
        if number == 1 {
            wire.say(OK).await;
            wire.head().await;
        }
    })
    .await;
    let cluster = cluster(&[peer.address]);
    ask(&cluster, get()).await;
    let error = cluster.send(0, get(), Hint::default()).await.unwrap_err();
    assert_eq!(error.kind(), "reset");
    assert_eq!(peer.accepted(), 2);
}

#[tokio::test]
async fn an_unused_connection_is_closed_in_time_though_nobody_asks() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let peer = Peer::new(move |_, mut wire| {
        let tell = tell.clone();
        async move {
            wire.head().await;
            wire.say(OK).await;
            wire.closed().await;
            tell.send(()).unwrap();
        }
    })
    .await;
    let mut config = config(&[peer.address]);
    config.idle_timeout = Duration::from_millis(20);
    let cluster = Cluster::new("users", &config, None, 1);
    for round in 1..=2 {
        ask(&cluster, get()).await;
        told.recv().await.unwrap();
        assert_eq!(peer.accepted(), round);
    }
}

/// So many requests at a time, and all of their responses.
async fn ask_at_once(cluster: &Cluster, requests: usize) {
    let mut answers = Vec::new();
    for _ in 0..requests {
        answers.push(cluster.send(0, get(), Hint::default()).await.unwrap());
    }
    for answer in answers {
        text(answer).await.unwrap();
    }
}

#[tokio::test]
async fn more_connections_than_are_kept_serve_the_next_row_and_are_then_closed() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let peer = Peer::new(move |_, mut wire| {
        let tell = tell.clone();
        async move {
            while wire.head().await.is_some() {
                wire.say(OK).await;
            }
            tell.send(()).unwrap();
        }
    })
    .await;
    let mut config = config(&[peer.address]);
    config.idle_connections = 1;
    let cluster = Cluster::new("users", &config, None, 1);
    ask_at_once(&cluster, 3).await;
    ask_at_once(&cluster, 3).await;
    assert_eq!(peer.accepted(), 3);
    for _ in 0..2 {
        told.recv().await.unwrap();
    }
    ask_at_once(&cluster, 2).await;
    assert_eq!(peer.accepted(), 4);
}

#[tokio::test]
async fn where_none_are_to_be_kept_each_request_has_its_own_connection() {
    let peer = Peer::always(OK).await;
    let mut config = config(&[peer.address]);
    config.idle_connections = 0;
    let cluster = Cluster::new("users", &config, None, 1);
    ask_at_once(&cluster, 2).await;
    ask_at_once(&cluster, 1).await;
    assert_eq!(peer.accepted(), 3);
}

#[tokio::test]
async fn a_cluster_that_is_dropped_closes_its_connections() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let peer = Peer::new(move |_, mut wire| {
        let tell = tell.clone();
        async move {
            wire.head().await;
            wire.say(OK).await;
            wire.closed().await;
            tell.send(()).unwrap();
        }
    })
    .await;
    let cluster = cluster(&[peer.address]);
    ask(&cluster, get()).await;
    drop(cluster);
    told.recv().await.unwrap();
}
