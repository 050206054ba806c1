//! Peers that do as they are told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that plays a script on each connection.
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Peer {
    /// A peer that calls `script` with each connection and its number, counted from 1.
    pub(super) async fn new<F, P>(script: F) -> Self
    where
        F: Fn(usize, Wire) -> P + Send + 'static,
        P: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, SeqCst) + 1;
                tokio::spawn(script(number, Wire(stream)));
            }
        });
        Self { address, accepted }
    }

    /// A peer that answers each request with `response`, and keeps connections.
    pub(super) async fn always(response: &'static str) -> Self {
        Self::new(move |_, mut wire| async move {
            while wire.head().await.is_some() {
                wire.say(response).await;
            }
        })
        .await
    }

    /// How many connections were made.
    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }
}

/// An address where nobody listens.
pub(super) fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

/// The server's end of a connection.
pub(super) struct Wire(pub(super) TcpStream);

impl Wire {
    /// The next request up to the empty line; none when the connection was closed.
    pub(super) async fn head(&mut self) -> Option<String> {
        self.until("\r\n\r\n").await
    }

    /// What comes, up to and with `end`; none when the connection was closed before.
    pub(super) async fn until(&mut self, end: &str) -> Option<String> {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            read.push(self.0.read_u8().await.ok()?);
        }
        Some(String::from_utf8_lossy(&read).into_owned())
    }

    pub(super) async fn say(&mut self, text: &str) {
        // Who hangs up on a misbehaving peer does right.
        let _ = self.0.write_all(text.as_bytes()).await;
    }

    /// Waits until the other end closes.
    pub(super) async fn closed(&mut self) {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest).await;
    }
}
