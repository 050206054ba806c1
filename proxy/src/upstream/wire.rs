//! A connection to an endpoint: cleartext or TLS, over TCP or a Unix socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::connections::Place;
use crate::net::Batched;

/// A connection to an endpoint.
pub(super) struct Wire {
    stream: Stream,
    /// Its place under the limit on connections.
    place: Option<Place>,
}

/// What TLS needs is in a box, so that a cleartext connection is no bigger for it.
enum Stream {
    Plain(Batched),
    Tls(Box<TlsStream<Batched>>),
}

impl Wire {
    /// A connection in cleartext.
    pub(super) fn plain(stream: Batched) -> Self {
        Self { stream: Stream::Plain(stream), place: None }
    }

    /// A connection in TLS.
    pub(super) fn tls(stream: TlsStream<Batched>) -> Self {
        Self { stream: Stream::Tls(Box::new(stream)), place: None }
    }

    /// Keeps its place under the limit on connections for as long as it lives.
    pub(super) fn holding(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }
}

/// Calls a method of whichever stream it is.
macro_rules! either {
    ($wire:expr, $inner:ident => $call:expr) => {
        match $wire {
            Stream::Plain($inner) => $call,
            Stream::Tls($inner) => $call,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(&mut self.get_mut().stream, wire => Pin::new(wire).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(&mut self.get_mut().stream, wire => Pin::new(wire).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut self.get_mut().stream, wire => Pin::new(wire).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut self.get_mut().stream, wire => Pin::new(wire).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(&mut self.get_mut().stream, wire => Pin::new(wire).poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        either!(&self.stream, wire => wire.is_write_vectored())
    }
}
