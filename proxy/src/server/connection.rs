//! One client's connection: which HTTP it speaks, its timeouts, and its end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::debug;

use super::request::handle;
use super::watch::{Waiting, Watch};
use super::worker::Worker;
use crate::chain::Client;
use crate::config::{Alpn, Config};
use crate::net::{Secured, Stream, Tls};

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What a client that is too slow with its head gets.
const REQUEST_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// How long a connection may take to end once it was told to.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Serves a connection to its end.
pub(super) async fn serve(worker: Arc<Worker>, stream: TcpStream, address: SocketAddr, at: SocketAddr) {
    let pin = worker.pinner.pin();
    let config = pin.config();
    // A listener that is gone since the connection was accepted: nobody knows any more whether it spoke TLS.
    let Some(listener) = pin.listeners.get(&at) else { return };
    let (stream, tls, known) = match &listener.tls {
        None => (Stream::Plain(stream), None, None),
        Some(tls) => match Box::pin(secure(&worker, tls, stream, address)).await {
            Some(Secured { stream, info, alpn, .. }) => (stream, Some(info), alpn.map(Version::from)),
            None => return,
        },
    };
    let watch = Arc::new(Watch::new());
    let mut socket = Socket { stream, prefix: Bytes::new(), watch: watch.clone() };
    let client = Arc::new(Client { edge: listener.edge.clone(), ..Client::new(worker.index, address, tls) });
    let served = match socket.version(known, &worker, config).await {
        Ok(Some(Version::Http1)) => http1(&worker, socket, client, config, &watch).await,
        Ok(Some(Version::Http2)) => http2(&worker, socket, client, config, &watch).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = served {
        debug!(%address, "the connection broke off: {error}");
    }
}

/// Does the handshake of a connection; nothing where that failed, or gofe drains before it is done.
async fn secure(worker: &Worker, tls: &Tls, stream: TcpStream, address: SocketAddr) -> Option<Secured> {
    let secured = tokio::select! {
        secured = tls.accept(stream) => secured,
        () = worker.shared.drained() => return None,
    };
    let result = secured.as_ref().map_or_else(|error| error.reason, |secured| secured.kind);
    worker.metrics.handshake(worker.index, result);
    secured.inspect_err(|error| debug!(%address, reason = error.reason, "no TLS handshake: {error}")).ok()
}

#[derive(Clone, Copy)]
enum Version {
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

/// How the loop around a connection ended.
enum End {
    /// The connection is over.
    Over(Result<(), hyper::Error>),
    /// It took too long.
    Slow(Waiting),
}

async fn http1(
    worker: &Arc<Worker>,
    socket: Socket,
    client: Arc<Client>,
    config: &Config,
    watch: &Arc<Watch>,
) -> Result<(), String> {
    let service = service(worker.clone(), client, watch.clone());
    let mut connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // The watch tells slow heads from idle connections, which hyper's timer does not.
        .header_read_timeout(None)
        .half_close(false)
        .max_headers(config.limits.header_count)
        .max_header_size(config.limits.header_size)
        .max_buf_size(config.limits.header_size.max(MIN_BUFFER))
        .serve_connection(socket, service);
    match drive(worker, config, watch, &mut connection, hyper::server::conn::http1::Connection::graceful_shutdown).await
    {
        End::Over(ended) => ended.map_err(|error| error.to_string()),
        End::Slow(Waiting::Head) => {
            let mut socket = connection.into_parts().io;
            let _ = socket.stream.write_all(REQUEST_TIMEOUT).await;
            let _ = socket.stream.shutdown().await;
            Ok(())
        }
        End::Slow(_) => Ok(()),
    }
}

/// hyper reads at least this much at a time.
const MIN_BUFFER: usize = 8 << 10;

async fn http2(
    worker: &Arc<Worker>,
    socket: Socket,
    client: Arc<Client>,
    config: &Config,
    watch: &Arc<Watch>,
) -> Result<(), String> {
    let service = service(worker.clone(), client, watch.clone());
    let mut connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.limits.streams)
        .max_header_list_size(u32::try_from(config.limits.header_size).unwrap_or(u32::MAX))
        .serve_connection(socket, service);
    match drive(worker, config, watch, &mut connection, hyper::server::conn::http2::Connection::graceful_shutdown).await
    {
        End::Over(ended) => ended.map_err(|error| error.to_string()),
        End::Slow(_) => {
            Pin::new(&mut connection).graceful_shutdown();
            let _ = tokio::time::timeout(CLOSE_GRACE, connection).await;
            Ok(())
        }
    }
}

type Response = http::Response<crate::http::Body>;

/// What hyper calls for each request.
fn service(
    worker: Arc<Worker>,
    client: Arc<Client>,
    watch: Arc<Watch>,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response,
    Error = Infallible,
    Future = impl Future<Output = Result<Response, Infallible>> + Send + 'static,
> {
    service_fn(move |request| {
        let edge = client.edge.clone();
        let handled = handle(worker.clone(), client.clone(), watch.clone(), request);
        async move {
            let mut response = handled.await;
            if let Some(edge) = edge {
                edge.harden(response.headers_mut());
            }
            Ok(response)
        }
    })
}

/// Drives a connection, and looks after each step whether it has taken too long or should end because gofe drains.
/// One timer serves all of this: it is set again only when an earlier end comes in sight.
async fn drive<C: Future<Output = Result<(), hyper::Error>> + Unpin>(
    worker: &Worker,
    config: &Config,
    watch: &Watch,
    connection: &mut C,
    shut_down: impl Fn(Pin<&mut C>),
) -> End {
    let (head, idle) = (config.timeouts.header_read, config.timeouts.idle);
    let mut drain = pin!(worker.shared.drained());
    let mut drained = false;
    let mut timer = pin!(tokio::time::sleep(head.min(idle)));
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut *connection).poll(cx) {
            return Poll::Ready(End::Over(ended));
        }
        if !drained && drain.as_mut().poll(cx).is_ready() {
            drained = true;
            shut_down(Pin::new(&mut *connection));
            if let Poll::Ready(ended) = Pin::new(&mut *connection).poll(cx) {
                return Poll::Ready(End::Over(ended));
            }
        }
        loop {
            // While a request is in progress nothing is due; look again when there could be.
            let (left, waiting) = watch.left(head, idle).unwrap_or((idle, Waiting::Idle));
            let due = Instant::now() + left;
            if left.is_zero() {
                return Poll::Ready(End::Slow(waiting));
            }
            if due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(cx));
            timer.as_mut().reset(due);
        }
    })
    .await
}

/// A client's socket: bytes that were read to find out the version come first.
struct Socket {
    stream: Stream,
    prefix: Bytes,
    watch: Arc<Watch>,
}

impl Socket {
    /// The version that was agreed upon, or the one that is seen.
    async fn version(
        &mut self,
        known: Option<Version>,
        worker: &Worker,
        config: &Config,
    ) -> io::Result<Option<Version>> {
        match known {
            // What comes is for hyper to judge, from its first byte on.
            Some(Version::Http2) => Ok(known),
            Some(Version::Http1) => Ok(self.detect(worker, config).await?.and(known)),
            None => self.detect(worker, config).await,
        }
    }

    /// Reads until it is certain which HTTP the client speaks; nothing where it closes or is too slow.
    async fn detect(&mut self, worker: &Worker, config: &Config) -> io::Result<Option<Version>> {
        let mut buffer = BytesMut::with_capacity(MIN_BUFFER);
        let mut drained = pin!(worker.shared.drained());
        let mut patience = config.timeouts.idle;
        loop {
            let read = tokio::select! {
                read = self.stream.read_buf(&mut buffer) => read?,
                () = tokio::time::sleep(patience) => {
                    if !buffer.is_empty() {
                        self.stream.write_all(REQUEST_TIMEOUT).await?;
                    }
                    return Ok(None);
                }
                () = &mut drained => return Ok(None),
            };
            if read == 0 {
                return Ok(None);
            }
            self.watch.read();
            patience = config.timeouts.header_read;
            let seen = buffer.len().min(PREFACE.len());
            let version = if buffer[..seen] != PREFACE[..seen] {
                Version::Http1
            } else if seen == PREFACE.len() {
                Version::Http2
            } else {
                continue;
            };
            self.prefix = buffer.freeze();
            return Ok(Some(version));
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
        // TLS takes more than the client does.
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
