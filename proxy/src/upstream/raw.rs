//! Connections for bytes that are no HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Error;
use super::outcome::{End, Outcome};
use super::slot::{Flight, Slot, Terms};
use crate::http::upgrade::Duplex;
use crate::net::Offer;

/// A connection that counts as in flight.
struct Counted<T> {
    stream: T,
    _flight: Flight,
}

impl Slot {
    /// Connects, and tells those who judge endpoints where that failed.
    pub(super) async fn open(self: &Arc<Self>, terms: &Terms<'_>) -> Result<Box<dyn Duplex>, Error> {
        let begun = Instant::now();
        let flight = Flight::begin(self, begun);
        match self.connect(terms, Offer::Nothing).await {
            Ok((stream, _)) => Ok(Box::new(Counted { stream, _flight: flight })),
            Err(error) => {
                let at = Instant::now();
                let end = End::of(&error);
                self.report(&Outcome { end, judged: Some(end), latency: at.duration_since(begun), at });
                Err(error)
            }
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
