//! Writes that wait for their turn, so that a worker sends what it has in one go.
//!
//! A `write` to a socket whose reader sleeps wakes the reader, which costs the writer more than all the rest of the
//! call (an interrupt to another processor). A reader that is given one message at a time sleeps again before the
//! next one comes; one that is given a row of them is woken once. So a worker first does everything else that is to
//! do, and then writes: nobody waits longer for it than for the work that was ready anyway.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::yield_now;

/// A stream whose writes wait until the worker has nothing else to do, or has done much.
#[derive(Debug)]
pub struct Batched<S> {
    stream: S,
    /// It has waited: what is written until the next flush goes out at once.
    turn: bool,
}

impl<S> Batched<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Self {
        Self { stream, turn: false }
    }

    /// The stream, for what does not write.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream, for what need not wait.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Lets the other tasks of this worker run once.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.turn {
            return Poll::Ready(());
        }
        self.turn = true;
        // The first poll asks the runtime to wake this task when it has run all others; that outlives the future.
        pin!(yield_now()).poll(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Batched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Batched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.wait(cx));
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.wait(cx));
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.turn = false;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
