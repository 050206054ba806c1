//! Peers that refuse, break off, or speak something else.

use super::peer::{Peer, nobody};
use super::*;

async fn error_of(response: &'static str) -> Error {
    let peer = Peer::new(move |_, mut wire| async move {
        wire.head().await;
        wire.say(response).await;
    })
    .await;
    let sent = cluster(&[peer.address]).send(0, get(), Hint::default()).await;
    sent.map(|sent| sent.response.status()).unwrap_err()
}

#[tokio::test]
async fn a_refused_connection_is_a_bad_gateway() {
    let error = cluster(&[nobody()]).send(0, get(), Hint::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), ("connect", 502));
    assert!(error.to_string().starts_with("upstream users: no connection to 127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn an_unknown_name_is_a_bad_gateway() {
    let mut config = config(&[]);
    config.backend = Backend::Endpoints(vec![Endpoint {
        socket: None,
        authority: "no-such-name.invalid:80".parse().unwrap(),
        labels: BTreeMap::new(),
        weight: 1,
        priority: 0,
    }]);
    let error = Cluster::new("users", &config, None, 1).send(0, get(), Hint::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), ("connect", 502));
}

#[tokio::test]
async fn no_connection_in_time_is_a_gateway_timeout() {
    // A queue of one, which is full: the system drops what else would connect.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let _queued: Vec<_> = (0..4)
        .map(|_| {
            let filler = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            filler.set_nonblocking(true).unwrap();
            let _ = filler.connect(&address.into());
            filler
        })
        .collect();
    let mut config = config(&[address]);
    config.connect_timeout = Duration::from_millis(50);
    let error = Cluster::new("users", &config, None, 1).send(0, get(), Hint::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), ("connect-timeout", 504));
}

#[tokio::test]
async fn a_close_before_the_response_is_a_bad_gateway() {
    for response in ["", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let error = error_of(response).await;
        assert_eq!((error.kind(), error.status().as_u16()), ("reset", 502), "{response:?}: {error}");
    }
}

#[tokio::test]
async fn garbage_is_a_bad_gateway() {
    for response in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nspace : x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ] {
        let error = error_of(response).await;
        assert_eq!((error.kind(), error.status().as_u16()), ("bad-response", 502), "{response:?}: {error}");
    }
}

#[tokio::test]
async fn a_header_section_over_the_limits_is_a_bad_gateway() {
    let long: &'static str = Box::leak(format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(70_000)).into());
    let many: &'static str = Box::leak(format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(1_000)).into());
    for response in [long, many] {
        let error = error_of(response).await;
        assert_eq!(error.kind(), "bad-response", "{error}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_never_looks_whole() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nx\r\n",
    ] {
        let peer = Peer::new(move |_, mut wire| async move {
            wire.head().await;
            wire.say(response).await;
        })
        .await;
        let cluster = cluster(&[peer.address]);
        let sent = cluster.send(0, get(), Hint::default()).await.unwrap();
        assert!(matches!(text(sent).await, Err(BodyError::Sender(_))), "{response:?}");
        assert_eq!(cluster.status().endpoints[0].failures, 1);
    }
}

#[tokio::test]
async fn a_client_body_that_fails_is_not_the_upstreams_fault() {
    let peer = Peer::new(|_, mut wire| async move { wire.closed().await }).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut config = config(&[peer.address]);
        config.protocol = protocol;
        let cluster = Cluster::new("users", &config, None, 1);
        for (fault, status) in
            [(BodyError::TooLarge(3), 413), (BodyError::Idle(Duration::from_secs(1)), 408), (BodyError::Ended, 500)]
        {
            let body = Frames::body(vec![data("abc"), Err(fault)]);
            let error = cluster.send(0, request(Method::POST, body), Hint::default()).await.unwrap_err();
            assert!(matches!(error, Error::RequestBody(_)), "{protocol:?}: {error}");
            assert_eq!(error.status().as_u16(), status, "{protocol:?}: {error}");
        }
        assert_eq!(cluster.status().endpoints[0].failures, 0);
    }
}
