//! One client's connection: which HTTP it speaks, its timeouts, its rest between requests, and its end.

mod socket;

use std::convert::Infallible;
use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::Instant;
use tracing::{debug, warn};

use self::socket::{Socket, Version};
use super::clients::Place;
use super::passage;
use super::request::handle;
use super::watch::{Patience, Waiting, Watch};
use super::worker::Worker;
use crate::chain::Client;
use crate::config::{Address, Config, ProxyProtocol};
use crate::net::{Batched, Connection, Secured, Stream, Tls, read_proxy_header};
use crate::snapshot::Listener;
use crate::telemetry::Throttle;

/// What a client that is too slow with its head gets.
const REQUEST_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// How often to look at a connection that has a request in progress.
const LOOK: Duration = Duration::from_secs(1);
/// How long a connection may take to end once it was told to.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// How long a connection does nothing before gofe gives back what only a request needs.
const REST: Duration = Duration::from_millis(500);

/// Serves a connection to its end.
pub(super) async fn serve(worker: Arc<Worker>, mut connection: Connection, mut address: SocketAddr, at: &Address) {
    let listener = match worker.pinner.pin().listeners.get(at) {
        Some(listener) => listener.clone(),
        // It is gone since the connection was accepted: nobody knows any more whether it spoke TLS.
        None => return,
    };
    if let Some(protocol) = &listener.proxy_protocol {
        match Box::pin(introduced(&worker, protocol, &mut connection, address)).await {
            Some(client) => address = client,
            None => return,
        }
    }
    let Listener { tls, edge, number, trusted, passage, .. } = listener;
    // A proxy that is trusted speaks for many clients.
    let speaks_for_itself = trusted.as_ref().is_none_or(|trusted| !trusted.from.contains(address.ip()));
    let most = worker.pinner.pin().config().limits.connections_per_client;
    let place = speaks_for_itself.then(|| Place::take(&worker.shared, address.ip(), most));
    if let Some(None) = place {
        worker.metrics.connection_refused(worker.index, "client");
        return debug!(%address, most, "a connection is refused: the client has too many");
    }
    if let Some(passage) = passage {
        return Box::pin(passage::serve(&worker, connection, address, tls, &passage)).await;
    }
    let (stream, info, known) = match tls {
        None => (Stream::Plain(Batched::new(connection)), None, None),
        // Boxed, so that cleartext is no larger for it.
        Some(tls) => match Box::pin(secure(&worker, tls, connection, address)).await {
            Some(Secured { stream, info, alpn, .. }) => (stream, Some(info), alpn.map(Version::from)),
            None => return,
        },
    };
    let watch = Arc::new(Watch::new());
    let client = Client { edge, listener: number, trusted, ..Client::new(worker.index, address, info) };
    let client = Arc::new(client);
    let served = speak(&worker, Socket::new(stream, watch.clone()), known, &client, &watch).await;
    if let Err(error) = served {
        debug!(%address, "the connection broke off: {error}");
    }
}

/// Whom a proxy in front of gofe connects for, by the header that it begins with; nothing where the connection is
/// refused, or gofe drains before the header is there.
async fn introduced(
    worker: &Worker,
    protocol: &ProxyProtocol,
    connection: &mut Connection,
    peer: SocketAddr,
) -> Option<SocketAddr> {
    static LINES: Throttle = Throttle::new();
    let refused = |reason: &'static str, why: &dyn Display| {
        worker.metrics.proxy_header_refused(worker.index, reason);
        if let Some(left_out) = LINES.admit() {
            warn!(%peer, reason, left_out, "a connection is refused: {why}");
        }
    };
    if !protocol.from.contains(peer.ip()) {
        refused("untrusted", &"this peer may not send a PROXY header, and nobody else may connect here");
        return None;
    }
    let read = tokio::select! {
        read = read_proxy_header(connection, protocol.timeout) => read,
        () = worker.shared.drained() => return None,
    };
    match read {
        Ok(client) => Some(client.unwrap_or(peer)),
        Err(error) => {
            refused(error.reason(), &error);
            None
        }
    }
}

/// Does the handshake of a connection; nothing where that failed, or gofe drains before it is done.
pub(super) async fn secure(
    worker: &Worker,
    tls: Arc<Tls>,
    connection: Connection,
    address: SocketAddr,
) -> Option<Secured> {
    let most = worker.pinner.pin().config().limits.handshakes;
    let Some(_count) = worker.shared.handshake(most) else {
        worker.metrics.connection_refused(worker.index, "handshakes");
        return None;
    };
    let secured = tokio::select! {
        secured = tls.accept(connection) => secured,
        () = worker.shared.drained() => return None,
    };
    let result = secured.as_ref().map_or_else(|error| error.reason, |secured| secured.kind);
    worker.metrics.handshake(worker.index, result);
    secured.inspect_err(|error| debug!(%address, reason = error.reason, "no TLS handshake: {error}")).ok()
}

/// Waits for bytes without a buffer for them, then serves: HTTP/1 until it rests again. What serves is boxed, so that
/// a resting connection is no larger than its wait. `known` is what TLS agreed upon: then hyper judges from the first byte.
async fn speak(
    worker: &Arc<Worker>,
    socket: Socket,
    known: Option<Version>,
    client: &Arc<Client>,
    watch: &Arc<Watch>,
) -> Result<(), String> {
    let mut resting = socket;
    let version = match known {
        Some(version) => Some(version),
        None => resting.detect(worker).await.map_err(|error| error.to_string())?,
    };
    match version {
        None => return Ok(()),
        Some(Version::Http2) => return Box::pin(http2(worker, resting, client, watch)).await,
        Some(Version::Http1) => {}
    }
    while let Some(socket) = Box::pin(http1(worker, resting, client, watch)).await? {
        resting = socket;
        if !resting.wakes(worker).await.map_err(|error| error.to_string())? {
            return Ok(());
        }
    }
    Ok(())
}

/// How the loop around a connection ended.
enum End {
    /// The connection is over.
    Over(Result<(), hyper::Error>),
    /// It waited too long.
    Waited(Waiting),
}

/// Serves HTTP/1 until the connection is over, or rests: then its socket comes back.
async fn http1(
    worker: &Arc<Worker>,
    socket: Socket,
    client: &Arc<Client>,
    watch: &Arc<Watch>,
) -> Result<Option<Socket>, String> {
    let pin = worker.pinner.pin();
    let config = pin.config();
    let service = service(worker.clone(), client.clone(), watch.clone());
    let mut connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // The watch tells slow heads from idle connections, which hyper's timer does not.
        .header_read_timeout(None)
        .half_close(false)
        .max_headers(config.limits.header_count)
        .max_header_size(config.limits.header_size)
        .max_buf_size(config.limits.header_size.max(MIN_BUFFER))
        .serve_connection(socket, service);
    let patience = patience(config, Some(REST));
    let shut_down = hyper::server::conn::http1::Connection::graceful_shutdown;
    match drive(worker, &patience, watch, &mut connection, shut_down).await {
        End::Over(ended) => {
            ended.map_err(|error| error.to_string())?;
            if let Some(tunnel) = watch.switched() {
                let parts = connection.into_parts();
                tunnel.run(TokioIo::new(parts.io.with_prefix(parts.read_buf))).await;
            }
            Ok(None)
        }
        End::Waited(Waiting::Rest) => {
            let parts = connection.into_parts();
            Ok(Some(parts.io.with_prefix(parts.read_buf)))
        }
        End::Waited(Waiting::Head) => {
            connection.into_parts().io.refuse(REQUEST_TIMEOUT).await;
            Ok(None)
        }
        End::Waited(Waiting::Idle | Waiting::Write | Waiting::Resets) => Ok(None),
    }
}

fn patience(config: &Config, rest: Option<Duration>) -> Patience {
    Patience { head: config.timeouts.header_read, idle: config.timeouts.idle, rest, resets: None }
}

/// hyper reads at least this much at a time.
const MIN_BUFFER: usize = 8 << 10;

/// Streams that a client may reset while they wait for their turn.
const PENDING_RESETS: usize = 20;
/// Streams in whose place a client may get an error of the protocol, on one connection.
const LOCAL_RESETS: usize = 100;

async fn http2(worker: &Arc<Worker>, socket: Socket, client: &Arc<Client>, watch: &Arc<Watch>) -> Result<(), String> {
    let pin = worker.pinner.pin();
    let config = pin.config();
    let service = service(worker.clone(), client.clone(), watch.clone());
    let mut connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.limits.streams)
        // Streams that are reset before gofe has seen them (CVE-2023-44487), and those that h2 must reset itself.
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .enable_connect_protocol()
        .max_header_list_size(u32::try_from(config.limits.header_size).unwrap_or(u32::MAX))
        .serve_connection(socket, service);
    let patience = Patience { resets: Some(config.limits.resets), ..patience(config, None) };
    let shut_down = hyper::server::conn::http2::Connection::graceful_shutdown;
    match drive(worker, &patience, watch, &mut connection, shut_down).await {
        End::Over(ended) => ended.map_err(|error| {
            if is_flood(&error) {
                worker.metrics.http2_closed(worker.index, "flood");
            }
            error.to_string()
        }),
        // To say so would be work that the client asks for.
        End::Waited(Waiting::Resets) => {
            worker.metrics.http2_closed(worker.index, "resets");
            Err("the client breaks off most of its requests".to_owned())
        }
        End::Waited(_) => {
            Pin::new(&mut connection).graceful_shutdown();
            let _ = tokio::time::timeout(CLOSE_GRACE, connection).await;
            Ok(())
        }
    }
}

/// Whether the client sent more frames of a kind that costs it nothing than h2 puts up with.
fn is_flood(error: &hyper::Error) -> bool {
    let error = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    error.and_then(h2::Error::reason) == Some(h2::Reason::ENHANCE_YOUR_CALM)
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
        handle(worker.clone(), client.clone(), watch.clone(), request.map(crate::http::Body::from))
    })
}

/// Drives a connection, and looks now and then whether it has waited too long, may rest, or should end because gofe
/// drains. One timer serves all of this. It fires at least as often as the shortest wait, so that nobody need look at
/// the clock whenever something moves.
async fn drive<C: Future<Output = Result<(), hyper::Error>> + Unpin>(
    worker: &Worker,
    patience: &Patience,
    watch: &Watch,
    connection: &mut C,
    shut_down: impl Fn(Pin<&mut C>),
) -> End {
    let mut drain = pin!(tokio::task::unconstrained(worker.shared.drained()));
    let (mut watched, mut drained) = (false, false);
    let mut timer = pin!(tokio::time::sleep(patience.shortest()));
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut *connection).poll(cx) {
            return Poll::Ready(End::Over(ended));
        }
        if patience.resets.is_some_and(|most| watch.breaks_off(most)) {
            return Poll::Ready(End::Waited(Waiting::Resets));
        }
        // Polled once, it wakes this task when the drain begins: each poll of it takes a lock that workers share.
        if !watched {
            watched = true;
            let _ = drain.as_mut().poll(cx);
        }
        if !drained && worker.shared.is_draining() {
            drained = true;
            shut_down(Pin::new(&mut *connection));
            if let Poll::Ready(ended) = Pin::new(&mut *connection).poll(cx) {
                return Poll::Ready(End::Over(ended));
            }
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            match watch.left(patience) {
                Some((Duration::ZERO, waiting)) => return Poll::Ready(End::Waited(waiting)),
                left => {
                    let most = left.map_or(LOOK, |(left, _)| left).min(patience.longest());
                    timer.as_mut().reset(Instant::now() + most);
                }
            }
        }
    })
    .await
}
