//! A client's socket as hyper sees it, and while nothing else looks at it.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::REQUEST_TIMEOUT;
use crate::config::Alpn;
use crate::net::Stream;
use crate::server::watch::Watch;
use crate::server::worker::Worker;

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Which HTTP a client speaks.
pub(super) enum Version {
    Http1,
    Http2,
}

impl From<Alpn> for Version {
    fn from(alpn: Alpn) -> Self {
        match alpn {
            Alpn::Http2 => Self::Http2,
            Alpn::Http11 => Self::Http1,
        }
    }
}

/// A client's socket: bytes that were read already come first.
pub(super) struct Socket {
    stream: Stream,
    prefix: Bytes,
    watch: Arc<Watch>,
}

impl Socket {
    pub(super) fn new(stream: Stream, watch: Arc<Watch>) -> Self {
        Self { stream, prefix: Bytes::new(), watch }
    }

    /// The socket of a connection that rests, with what was read and not used.
    pub(super) fn with_prefix(mut self, unread: Bytes) -> Self {
        if !unread.is_empty() {
            // What is left of the prefix came after these.
            self.prefix = [unread, self.prefix].concat().into();
        }
        self
    }

    /// Says something instead of a response, and closes. Whether the client hears it is its own affair.
    pub(super) async fn refuse(mut self, text: &[u8]) {
        let _ = self.stream.write_all(text).await;
        let _ = self.stream.shutdown().await;
    }

    /// Reads until it is certain which HTTP the client speaks; nothing where it closes or is too slow.
    pub(super) async fn detect(&mut self, worker: &Worker) -> io::Result<Option<Version>> {
        let (mut patience, head) = {
            let pin = worker.pinner.pin();
            (pin.config().timeouts.idle, pin.config().timeouts.header_read)
        };
        let mut buffer = [0; PREFACE.len()];
        let mut filled = 0;
        loop {
            if !self.readable(worker, patience).await? {
                if filled > 0 && !worker.shared.is_draining() {
                    self.stream.write_all(REQUEST_TIMEOUT).await?;
                    self.stream.shutdown().await?;
                }
                return Ok(None);
            }
            match self.stream.try_read(&mut buffer[filled..]) {
                Ok(0) => return Ok(None),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            self.watch.read();
            patience = head;
            let version = if buffer[..filled] != PREFACE[..filled] {
                Version::Http1
            } else if filled == PREFACE.len() {
                Version::Http2
            } else {
                continue;
            };
            self.prefix = Bytes::copy_from_slice(&buffer[..filled]);
            return Ok(Some(version));
        }
    }

    /// Waits until there is something to read; false where the connection should end instead.
    pub(super) async fn wakes(&self, worker: &Worker) -> io::Result<bool> {
        if !self.prefix.is_empty() {
            return Ok(true);
        }
        let idle = worker.pinner.pin().config().timeouts.idle;
        self.readable(worker, idle.saturating_sub(self.watch.age())).await
    }

    async fn readable(&self, worker: &Worker, patience: Duration) -> io::Result<bool> {
        let drained = pin!(worker.shared.drained());
        tokio::select! {
            readable = self.stream.readable() => readable.map(|()| true),
            () = tokio::time::sleep(patience) => Ok(false),
            () = drained => Ok(false),
        }
    }
}

impl hyper::rt::Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.prefix.is_empty() {
            let length = self.prefix.len().min(cursor.remaining());
            cursor.put_slice(&self.prefix[..length]);
            self.prefix.advance(length);
            if self.prefix.is_empty() {
                // Even empty it would hold on to its memory.
                self.prefix = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let this = &mut *self;
        let mut adapted = hyper_util::rt::TokioIo::new(&mut this.stream);
        let read = ready!(hyper::rt::Read::poll_read(Pin::new(&mut adapted), cx, cursor));
        this.watch.read();
        Poll::Ready(read)
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch.written(polled.is_ready());
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        // TLS takes more from hyper than the client takes from it.
        self.watch.written(polled.is_ready());
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.watch.written(polled.is_ready());
        polled
    }
}
