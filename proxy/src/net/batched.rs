//! Writes that wait for their turn, so that a worker sends what it has in one go.
//!
//! A `write` to a socket whose reader sleeps wakes the reader, which costs the writer more than all the rest of the
//! call (an interrupt to another processor). A reader that is given one message at a time sleeps again before the
//! next one comes; one that is given a row of them is woken once. So a worker first does everything else that is to
//! do, and then writes: nobody waits longer for it than for the work that was ready anyway.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::{Mutex, MutexGuard};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{tcp, unix};

use super::Connection;

/// What is at least this long goes out at once: waking a reader costs little beside it, and copying it much.
const LARGE: usize = 16 << 10;

thread_local! {
    /// The streams of this worker that have something to send.
    static TURNS: RefCell<Turns> = const { RefCell::new(Turns { queue: Vec::new(), sender: None, serves: false }) };
}

#[derive(Default)]
struct Turns {
    queue: Vec<Arc<Outgoing>>,
    /// Wakes [`send_in_turn`] when the first comes.
    sender: Option<Waker>,
    /// Whether [`send_in_turn`] runs on this thread. Where it does not, nothing waits.
    serves: bool,
}

/// Sends what the streams of this worker have, whenever the worker has nothing else to do or has done much. It is a
/// task of each worker.
pub async fn send_in_turn() {
    struct Serving;
    impl Drop for Serving {
        fn drop(&mut self) {
            TURNS.with_borrow_mut(|turns| *turns = Turns::default());
        }
    }
    let _serving = Serving;
    TURNS.with_borrow_mut(|turns| turns.serves = true);
    let mut row = Vec::new();
    loop {
        poll_fn(|cx| {
            TURNS.with_borrow_mut(|turns| {
                if !turns.queue.is_empty() {
                    return Poll::Ready(());
                }
                turns.sender = Some(cx.waker().clone());
                Poll::Pending
            })
        })
        .await;
        behind_all_others().await;
        TURNS.with_borrow_mut(|turns| std::mem::swap(&mut turns.queue, &mut row));
        row.drain(..).for_each(|outgoing| outgoing.send());
    }
}

/// Goes on when the runtime has run all tasks that are ready now. (tokio's `yield_now` makes it look for more first, which is a
/// system call for each row.)
async fn behind_all_others() {
    let mut ran = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut ran, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A connection whose writes wait for their turn.
#[derive(Debug)]
pub struct Batched {
    read: ReadHalf,
    outgoing: Arc<Outgoing>,
}

/// The half of a connection that is read from.
#[derive(Debug)]
enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
}

/// The half of a connection that is written to.
#[derive(Debug)]
enum WriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
}

/// Calls a method of whichever kind of half it is.
macro_rules! half {
    ($kind:ident, $half:expr, $inner:ident => $call:expr) => {
        match $half {
            $kind::Tcp($inner) => $call,
            $kind::Unix($inner) => $call,
        }
    };
}

/// What is on its way out of a connection.
#[derive(Debug)]
struct Outgoing {
    stream: WriteHalf,
    unsent: Mutex<Unsent>,
}

#[derive(Debug, Default)]
struct Unsent {
    bytes: Vec<u8>,
    /// It is in the worker's queue.
    queued: bool,
    /// It had its turn, and the system did not take everything.
    blocked: bool,
    /// What went wrong when it had its turn, for whoever writes or flushes next.
    error: Option<io::Error>,
    /// Who must go on when its turn did not send everything.
    writer: Option<Waker>,
}

impl Batched {
    /// Wraps a connection.
    pub fn new(connection: impl Into<Connection>) -> Self {
        let (read, stream) = match connection.into() {
            Connection::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
            Connection::Unix(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Unix(read), WriteHalf::Unix(write))
            }
        };
        Self { read, outgoing: Arc::new(Outgoing { stream, unsent: Mutex::default() }) }
    }

    /// Waits until there is something to read, or the end.
    ///
    /// # Errors
    /// What the system says.
    pub async fn readable(&self) -> io::Result<()> {
        half!(ReadHalf, &self.read, read => read.readable().await)
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// What the system says; [`ErrorKind::WouldBlock`] where nothing is there.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        half!(ReadHalf, &self.read, read => read.try_read(buffer))
    }

    fn poll_accept(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let outgoing = &*self.outgoing;
        let mut unsent = outgoing.unsent.lock();
        if let Some(error) = unsent.error.take() {
            return Poll::Ready(Err(error));
        }
        let length = parts.iter().map(|part| part.len()).sum();
        let serves = TURNS.with_borrow(|turns| turns.serves);
        let waits = !unsent.bytes.is_empty();
        if waits && (unsent.blocked || unsent.bytes.len() >= LARGE || !serves) {
            ready!(outgoing.poll_send(cx, &mut unsent))?;
        }
        if unsent.bytes.is_empty() && (length >= LARGE || !serves) {
            drop(unsent);
            return outgoing.poll_write_now(cx, parts);
        }
        unsent.bytes.reserve(length);
        parts.iter().for_each(|part| unsent.bytes.extend_from_slice(part));
        Poll::Ready(Ok(length))
    }
}

impl Outgoing {
    /// Sends what is unsent: its turn has come.
    fn send(&self) {
        let mut unsent = self.unsent.lock();
        unsent.queued = false;
        match self.try_send(&mut unsent) {
            Ok(()) => return,
            Err(error) if error.kind() == ErrorKind::WouldBlock => unsent.blocked = true,
            Err(error) => {
                unsent.bytes = Vec::new();
                unsent.error = Some(error);
            }
        }
        if let Some(writer) = unsent.writer.take() {
            writer.wake();
        }
    }

    fn try_send(&self, unsent: &mut Unsent) -> io::Result<()> {
        let mut sent = 0;
        let result = loop {
            if sent == unsent.bytes.len() {
                // A connection that rests holds no memory for this.
                unsent.bytes = Vec::new();
                unsent.blocked = false;
                return Ok(());
            }
            match half!(WriteHalf, &self.stream, stream => stream.try_write(&unsent.bytes[sent..])) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(written) => sent += written,
                Err(error) => break Err(error),
            }
        };
        unsent.bytes.drain(..sent);
        result
    }

    /// Sends what is unsent now, or waits until the system takes it.
    fn poll_send(&self, cx: &mut Context<'_>, unsent: &mut MutexGuard<'_, Unsent>) -> Poll<io::Result<()>> {
        loop {
            match self.try_send(unsent) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(half!(WriteHalf, &self.stream, stream => stream.as_ref().poll_write_ready(cx)))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_write_now(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            match half!(WriteHalf, &self.stream, stream => stream.try_write_vectored(parts)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(half!(WriteHalf, &self.stream, stream => stream.as_ref().poll_write_ready(cx)))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }

    /// Puts it in the worker's queue, where it is not and has something to send.
    fn queue(self: &Arc<Self>, unsent: &mut Unsent, cx: &Context<'_>) {
        if !unsent.writer.as_ref().is_some_and(|writer| writer.will_wake(cx.waker())) {
            unsent.writer = Some(cx.waker().clone());
        }
        if !std::mem::replace(&mut unsent.queued, true) {
            TURNS.with_borrow_mut(|turns| {
                turns.queue.push(Arc::clone(self));
                if let Some(sender) = turns.sender.take() {
                    sender.wake();
                }
            });
        }
    }
}

impl AsyncRead for Batched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        half!(ReadHalf, &mut self.read, read => Pin::new(read).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Batched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_accept(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_accept(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut unsent = self.outgoing.unsent.lock();
        if let Some(error) = unsent.error.take() {
            return Poll::Ready(Err(error));
        }
        if unsent.bytes.is_empty() || unsent.queued {
            return Poll::Ready(Ok(()));
        }
        if !unsent.blocked && TURNS.with_borrow(|turns| turns.serves) {
            self.outgoing.queue(&mut unsent, cx);
            return Poll::Ready(Ok(()));
        }
        self.outgoing.poll_send(cx, &mut unsent)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut unsent = self.outgoing.unsent.lock();
        ready!(self.outgoing.poll_send(cx, &mut unsent))?;
        Poll::Ready(match &self.outgoing.stream {
            WriteHalf::Tcp(stream) => SockRef::from(stream.as_ref()).shutdown(Shutdown::Write),
            WriteHalf::Unix(stream) => SockRef::from(stream.as_ref()).shutdown(Shutdown::Write),
        })
    }
}

#[cfg(test)]
mod tests;
