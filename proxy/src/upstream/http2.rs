//! HTTP/2 towards an endpoint, in cleartext with prior knowledge (RFC 9113, section 3.3) or in TLS: one connection
//! carries many requests at a time.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::message;
use super::proxy_header::Ends;
use super::slot::{Failure, Flight, Life, Slot, Terms};
use super::upload::{self, Watch};
use super::wire::Wire;
use crate::http::{Body, BodyError};
use crate::net::Offer;

/// The most bytes of a response's header section.
const HEADER_SECTION: u32 = 64 << 10;

/// The connections to one endpoint.
#[derive(Default)]
pub(super) struct Links {
    open: Mutex<Vec<Link>>,
    /// Held while a connection is made, so that many requests at once make one and not many.
    opening: tokio::sync::Mutex<()>,
}

/// One connection.
struct Link {
    sender: SendRequest<Body>,
    load: Arc<Load>,
    life: Life,
}

/// The use of a connection.
struct Load {
    streams: AtomicUsize,
    /// The most streams that the endpoint allows, as far as it has said.
    most: AtomicUsize,
    /// When the last stream ended.
    idle_since: Mutex<Instant>,
}

impl Links {
    /// A connection with a stream to spare, and a stream on it.
    fn take(&self, client: Option<Ends>) -> Option<(SendRequest<Body>, Stream)> {
        let mut open = self.open.lock();
        // One whose time is over ends with the last of its streams.
        open.retain(|link| !link.sender.is_closed() && link.life.goes_on(Instant::now));
        let free = |link: &&mut Link| {
            link.life.client == client && link.load.streams.load(Relaxed) < link.load.most.load(Relaxed)
        };
        open.iter_mut().find(free).map(|link| {
            link.life.left -= 1;
            (link.sender.clone(), Stream::begin(&link.load))
        })
    }

    /// Whether there is a connection for this client.
    pub(super) fn has_one(&self, client: Option<Ends>) -> bool {
        let fits = |link: &Link| !link.sender.is_closed() && link.life.client == client;
        self.open.lock().iter().any(|link| fits(link) && link.life.goes_on(Instant::now))
    }

    /// Waits until nobody else makes a connection, and keeps the others waiting.
    pub(super) async fn opening(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.opening.lock().await
    }

    /// Closes what was unused for too long; when the next will be due.
    pub(super) fn sweep(&self, now: Instant, idle_timeout: Duration) -> Option<Instant> {
        let mut open = self.open.lock();
        open.retain(|link| {
            let idle = now.duration_since(*link.load.idle_since.lock());
            !link.sender.is_closed() && (link.load.streams.load(Relaxed) > 0 || idle < idle_timeout)
        });
        let due = |link: &Link| match link.load.streams.load(Relaxed) {
            0 => *link.load.idle_since.lock() + idle_timeout,
            _ => now + idle_timeout,
        };
        open.iter().map(due).min()
    }
}

/// Sends a request on a connection at hand, or else on a new one; for a request that found its connection closed,
/// the rules are those of HTTP/1.1.
pub(super) async fn exchange(
    flight: Flight,
    mut request: Box<Request<Body>>,
    terms: &Terms<'_>,
) -> Result<Response<Body>, Failure> {
    let slot = Arc::clone(&flight.slot);
    message::for_http2(&mut request, &slot.authority, slot.has_tls());
    if let Some((mut sender, stream)) = slot.links.take(terms.client(&slot)) {
        let copy = message::is_repeatable(&request).then(|| message::Copy::of(&request));
        match in_time(&slot, terms, sender.try_send_request(*request)).await? {
            Ok(response) => return finish(response, stream, flight),
            Err(mut failed) => match failed.take_message().map(Box::new).or_else(|| Some(copy?.request())) {
                Some(again) => request = again,
                None => {
                    return Err(Failure { error: slot.explain(failed.into_error(), &terms.watch), unsent: None });
                }
            },
        }
    }
    let (mut sender, stream) = match open(&slot, terms).await {
        Ok(opened) => opened,
        Err(error) => return Err(Failure { error, unsent: Some(request) }),
    };
    match in_time(&slot, terms, sender.try_send_request(*request)).await? {
        Ok(response) => finish(response, stream, flight),
        Err(mut failed) => {
            let unsent = failed.take_message().map(Box::new);
            Err(Failure { error: slot.explain(failed.into_error(), &terms.watch), unsent })
        }
    }
}

/// Waits for a response for as long as the endpoint may take. Giving it up resets the stream.
async fn in_time<F: Future>(slot: &Slot, terms: &Terms<'_>, answer: F) -> Result<F::Output, Failure> {
    let Some(limit) = slot.limits.response_timeout else { return Ok(answer.await) };
    let answer = upload::within(limit, &terms.watch, answer).await;
    answer.ok_or_else(|| Failure { error: slot.late(limit), unsent: None })
}

/// A new connection, or one that somebody else has just made.
async fn open(slot: &Arc<Slot>, terms: &Terms<'_>) -> Result<(SendRequest<Body>, Stream), super::Error> {
    let _opening = slot.links.opening.lock().await;
    if let Some(taken) = slot.links.take(terms.client(slot)) {
        return Ok(taken);
    }
    let (wire, _) = slot.connect(terms, Offer::Http2).await?;
    adopt(slot, wire, terms).await
}

/// Speaks HTTP/2 on a connection that was just made, and begins a stream on it.
pub(super) async fn adopt(
    slot: &Arc<Slot>,
    wire: Wire,
    terms: &Terms<'_>,
) -> Result<(SendRequest<Body>, Stream), super::Error> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.adaptive_window(true).max_header_list_size(HEADER_SECTION);
    let made = builder.handshake(TokioIo::new(wire)).await;
    let (sender, connection) = made.map_err(|error| slot.explain(error, &Watch::default()))?;
    let load = Arc::new(Load {
        streams: AtomicUsize::new(0),
        most: AtomicUsize::new(connection.current_max_send_streams()),
        idle_since: Mutex::new(Instant::now()),
    });
    tokio::spawn(drive(connection, Arc::clone(&load)));
    let stream = Stream::begin(&load);
    let life = slot.life(terms);
    slot.links.open.lock().push(Link { sender: sender.clone(), load, life });
    slot.sweep_later();
    Ok((sender, stream))
}

/// Runs a connection, and keeps what its endpoint says of the number of streams.
async fn drive(mut connection: Connection<TokioIo<Wire>, Body, TokioExecutor>, load: Arc<Load>) {
    let ended = poll_fn(|cx| {
        let polled = Pin::new(&mut connection).poll(cx);
        load.most.store(connection.current_max_send_streams(), Relaxed);
        polled
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "an upstream connection ended");
    }
}

fn finish(response: Response<Incoming>, stream: Stream, flight: Flight) -> Result<Response<Body>, Failure> {
    flight.slot.check(&response).map_err(|error| Failure { error, unsent: None })?;
    let (parts, incoming) = response.into_parts();
    let body = if incoming.is_end_stream() {
        Body::Empty
    } else {
        let slot = Arc::clone(&flight.slot);
        slot.timed(Body::layered(Download { incoming, in_use: Some((stream, flight)) }))
    };
    Ok(Response::from_parts(parts, body))
}

/// A stream in use on a connection.
pub(super) struct Stream(Arc<Load>);

impl Stream {
    fn begin(load: &Arc<Load>) -> Self {
        load.streams.fetch_add(1, Relaxed);
        Self(Arc::clone(load))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.0.streams.fetch_sub(1, Relaxed) == 1 {
            *self.0.idle_since.lock() = Instant::now();
        }
    }
}

/// A response's body, which counts as in flight until the end.
struct Download {
    incoming: Incoming,
    in_use: Option<(Stream, Flight)>,
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Poll::Ready(polled) = Pin::new(&mut this.incoming).poll_frame(cx) else { return Poll::Pending };
        let ended = match &polled {
            None => true,
            Some(Ok(frame)) => frame.is_trailers() || this.incoming.is_end_stream(),
            Some(Err(_)) => {
                if let Some((_, flight)) = &this.in_use {
                    flight.failed();
                }
                true
            }
        };
        if ended {
            this.in_use = None;
        }
        Poll::Ready(polled.map(|frame| frame.map_err(BodyError::Sender)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
