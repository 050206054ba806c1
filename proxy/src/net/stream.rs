//! A client's connection, in cleartext or in TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::Batched;
use super::tls::Early;

/// A client's connection. What TLS needs is in a box, so that a cleartext connection is no bigger for it.
pub enum Stream {
    /// Cleartext.
    Plain(Batched),
    /// TLS.
    Tls(Box<TlsStream<Batched>>),
    /// TLS whose client sent data before the handshake was complete.
    Early(Box<Early>),
}

impl Stream {
    /// Waits until there is something to read, or the end.
    ///
    /// # Errors
    /// What the system says of the socket.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.readable().await,
            Self::Tls(stream) => {
                let (socket, session) = stream.get_ref();
                // It wants nothing from the socket while there is text that was decrypted and not taken.
                if session.wants_read() { socket.readable().await } else { Ok(()) }
            }
            Self::Early(stream) => stream.readable().await,
        }
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing, or less than TLS can decrypt; what the connection broke off with.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.try_read(buffer),
            Self::Tls(stream) => try_read(stream.as_mut(), buffer),
            Self::Early(stream) => try_read(stream.as_mut(), buffer),
        }
    }
}

fn try_read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = ReadBuf::new(buffer);
    // Whoever would be woken waits by `readable`.
    match Pin::new(stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut read) {
        Poll::Ready(result) => result.map(|()| read.filled().len()),
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// Calls a method of whichever stream it is.
macro_rules! either {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream.get_mut() {
            Self::Plain($inner) => $call,
            Self::Tls($inner) => $call,
            Self::Early($inner) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Early(stream) => stream.is_write_vectored(),
        }
    }
}
