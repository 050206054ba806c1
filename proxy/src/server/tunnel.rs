//! A tunnel: after a change of protocol, bytes go both ways until both sides have ended, or nothing moves any more.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tracing::debug;

use super::flight::Flight;
use crate::chain::Way;
use crate::http::upgrade::Duplex;

/// What is read at a time, and waits for a reader that is slow: the next read is after that.
pub(super) const BUFFER: usize = 16 << 10;

/// A tunnel whose client's side is about to be there.
pub(super) struct Tunnel {
    upstream: Box<dyn Duplex>,
    flight: Flight,
}

impl Tunnel {
    pub(super) fn new(upstream: Box<dyn Duplex>, flight: Flight) -> Self {
        Self { upstream, flight }
    }

    /// Waits for a stream of HTTP/2 to become the client's side, and serves it to the end.
    pub(super) async fn run_on_stream(self, stream: OnUpgrade) {
        match stream.await {
            Ok(stream) => self.run(TokioIo::new(stream)).await,
            Err(error) => debug!(route = &*self.flight.route().name, "no tunnel: {error}"),
        }
    }

    /// Passes bytes both ways to the end.
    pub(super) async fn run(mut self, client: impl Duplex) {
        let idle = self.flight.pin.config().timeouts.idle;
        let moved = Arc::new(Moved::default());
        self.flight.hand.lock().await.summary.request_bytes = Some(moved.up.clone());
        let end = pass(client, self.upstream, &moved, idle).await;
        debug!(route = &*self.flight.route().name, end, "a tunnel ended");
        let worker = &self.flight.worker;
        worker.metrics.tunnel(worker.index, end);
        self.flight.tunnelled(moved.down.load(Relaxed), (end != "closed").then_some(end));
    }
}

/// How much has moved, and when it did last.
#[derive(Default)]
pub(super) struct Moved {
    up: Arc<AtomicU64>,
    down: AtomicU64,
}

impl Moved {
    /// So many bytes have gone a way.
    pub(super) fn add(&self, way: Way, bytes: usize) {
        match way {
            Way::Downstream => self.up.fetch_add(bytes as u64, Relaxed),
            Way::Upstream => self.down.fetch_add(bytes as u64, Relaxed),
        };
    }

    fn sum(&self) -> u64 {
        self.up.load(Relaxed) + self.down.load(Relaxed)
    }
}

/// The word for how it ended: `closed` by the two sides, `tunnel-idle` or `tunnel-broke-off`.
pub(super) async fn pass(
    mut client: impl Duplex,
    upstream: Box<dyn Duplex>,
    moved: &Moved,
    idle: Duration,
) -> &'static str {
    let mut upstream = Counted { io: upstream, moved };
    let copy = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER);
    let ended = async { if copy.await.is_ok() { "closed" } else { "tunnel-broke-off" } };
    while_moving(ended, moved, idle).await
}

/// Waits for the end of what moves bytes, or until it moves none any more.
pub(super) async fn while_moving(
    moving: impl Future<Output = &'static str>,
    moved: &Moved,
    idle: Duration,
) -> &'static str {
    let mut moving = pin!(moving);
    let (mut seen, mut since) = (0, Instant::now());
    // Looked at often enough that nobody waits for a tenth longer than is said.
    let mut look = tokio::time::interval((idle / 10).max(Duration::from_millis(1)));
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            end = &mut moving => return end,
            _ = look.tick() => match moved.sum() {
                sum if sum != seen => (seen, since) = (sum, Instant::now()),
                _ if since.elapsed() >= idle => return "tunnel-idle",
                _ => {}
            },
        }
    }
}

/// The upstream's side, where all bytes come by.
struct Counted<'a> {
    io: Box<dyn Duplex>,
    moved: &'a Moved,
}

impl AsyncRead for Counted<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buffer));
        self.moved.add(Way::Upstream, buffer.filled().len() - before);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Counted<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes));
        if let Ok(length) = &written {
            self.moved.add(Way::Downstream, *length);
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
