//! 0-RTT: what a client sends with its first message, before its handshake is complete (RFC 8446, section 2.3).
//!
//! Whoever has recorded that message can send it again. So a session is good for one connection: the second time it is
//! not there any more, and what comes with it is thrown away. That is known to one process only; what others must know is
//! said with the request (RFC 8470).

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use rustls::server::StoresServerSessions;
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::net::Batched;

/// How long a session is kept: as long as rustls tells clients that it is.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// What is read from the socket at a time.
const CHUNK: usize = 4 << 10;

/// Sessions that clients may resume, of all workers.
pub(super) struct Sessions {
    most: u64,
    by_id: Cache<Vec<u8>, Vec<u8>>,
}

impl Sessions {
    /// At most so many; the oldest make room.
    pub(super) fn new(most: u64) -> Arc<Self> {
        let by_id = Cache::builder().max_capacity(most).time_to_live(LIFETIME).eviction_policy(EvictionPolicy::lru());
        Arc::new(Self { most, by_id: by_id.build() })
    }

    pub(super) fn most(&self) -> u64 {
        self.most
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("most", &self.most).finish_non_exhaustive()
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, id: Vec<u8>, session: Vec<u8>) -> bool {
        self.by_id.insert(id, session);
        true
    }

    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.by_id.get(id)
    }

    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.by_id.remove(id)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// A connection that was served before its handshake was complete. tokio-rustls begins when it is, so that TLS is driven
/// here.
pub struct Early {
    io: Batched,
    session: ServerConnection,
    /// What came before the handshake was complete, and was not taken yet.
    received: BytesMut,
    /// What TLS has written and the socket has not taken.
    unsent: Vec<u8>,
    complete: Arc<AtomicBool>,
}

/// What a handshake has become.
pub(super) enum Begun {
    /// It is complete.
    Whole(Box<TlsStream<Batched>>),
    /// It is not, and there is data already.
    Early(Box<Early>),
}

/// Does a handshake, or as much of it as it takes until the client has sent data.
pub(super) async fn accept(config: &Arc<ServerConfig>, io: Batched) -> io::Result<Begun> {
    let session = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
    let mut early = Early { io, session, received: BytesMut::new(), unsent: Vec::new(), complete: Arc::default() };
    poll_fn(|cx| {
        while early.received.is_empty() && early.session.is_handshaking() {
            ready!(early.poll_more(cx))?;
        }
        early.poll_send(cx)
    })
    .await?;
    // Also one whose data came with the last of the handshake: it is nowhere but here.
    if !early.received.is_empty() {
        return Ok(Begun::Early(Box::new(early)));
    }
    let Early { io, session, .. } = early;
    let whole = TlsAcceptor::from(config.clone()).accept_with(io, |begun| *begun = session).await?;
    Ok(Begun::Whole(Box::new(whole)))
}

impl Early {
    /// What TLS knows of it.
    pub(super) fn session(&self) -> &ServerConnection {
        &self.session
    }

    /// Whether the handshake is complete. What is read from then on was sent, or sent again, by the client itself.
    pub(super) fn complete(&self) -> Arc<AtomicBool> {
        self.complete.clone()
    }

    /// Waits until there is something to read, or the end.
    pub(in crate::net) async fn readable(&self) -> io::Result<()> {
        if self.received.is_empty() && self.session.wants_read() { self.io.readable().await } else { Ok(()) }
    }

    /// Reads what the socket has, and takes it apart.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // That the socket takes no more is no reason not to read.
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        let mut chunk = [0; CHUNK];
        let mut read = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        let mut bytes = read.filled();
        loop {
            // Without bytes it learns of the end.
            self.session.read_tls(&mut bytes)?;
            if let Err(error) = self.session.process_new_packets() {
                // Whether the client hears why is its own affair.
                let _ = self.poll_send(cx);
                return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, error)));
            }
            self.take_early()?;
            if bytes.is_empty() {
                break;
            }
        }
        let ended = read.filled().is_empty() && self.session.is_handshaking();
        Poll::Ready(if ended { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) })
    }

    fn take_early(&mut self) -> io::Result<()> {
        if let Some(mut data) = self.session.early_data() {
            let mut chunk = [0; CHUNK];
            loop {
                match data.read(&mut chunk)? {
                    0 => break,
                    read => self.received.extend_from_slice(&chunk[..read]),
                }
            }
        }
        if !self.session.is_handshaking() {
            self.complete.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Sends what TLS has written.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.unsent.is_empty() {
                let sent = ready!(Pin::new(&mut self.io).poll_write(cx, &self.unsent))?;
                self.unsent.drain(..sent);
            }
            if !self.session.wants_write() {
                return Pin::new(&mut self.io).poll_flush(cx);
            }
            self.session.write_tls(&mut self.unsent)?;
        }
    }
}

impl AsyncRead for Early {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.received.is_empty() {
                let length = self.received.len().min(buffer.remaining());
                buffer.put_slice(&self.received.split_to(length));
                return Poll::Ready(Ok(()));
            }
            match self.session.reader().read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.poll_more(cx))?,
                read => {
                    buffer.advance(read?);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Early {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let written = self.session.writer().write(bytes)?;
            let sent = self.poll_send(cx)?;
            if written > 0 || bytes.is_empty() {
                return Poll::Ready(Ok(written));
            }
            ready!(sent);
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.send_close_notify();
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
