//! HTTP/1.1 towards an endpoint: one request at a time on a connection, which is kept for the next.

mod relay;
mod upgrade;

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, timeout};

use self::relay::Relay;
use super::connections::Turn;
use super::message::{self, Spare};
use super::proxy_header::Ends;
use super::slot::{Failure, Flight, Life, Limits, Slot, Terms};
use super::upload::{self, Watch};
use super::wire::Wire;
use crate::http::upgrade::Asked;
use crate::http::{Body, BodyError};
use crate::net::Offer;

/// The most bytes of a response's header section, and of what is read ahead of a slow client.
const BUFFER: usize = 64 << 10;

/// How often unused connections are looked at, to close those that the endpoint has closed.
const LOOK: Duration = Duration::from_secs(5);

/// How long more connections than are to be kept may be unused. Answers come in rows, and what a row leaves over the next one
/// needs: closed at once, it would be made again.
pub(super) const SURPLUS: Duration = Duration::from_secs(1);

type Connection = http1::Connection<TokioIo<Wire>, Body>;

/// A connection: where requests go in, and what drives it.
///
/// A request without a body needs no task beside the client's: whoever waits for the response drives the connection.
/// That saves two switches of task for each request. A request with a body needs a driver of its own, since the body
/// must move on also while nobody reads the response.
pub(super) struct Link {
    sender: SendRequest<Body>,
    driver: Driver,
    relay: Relay,
    life: Life,
}

/// Why a request has no response.
#[expect(clippy::large_enum_variant, reason = "it lives no longer than the look at it, and a failure is rare")]
enum Unanswered {
    Failed(TrySendError<Request<Body>>),
    Late(Duration),
}

enum Driver {
    /// Whoever holds the link.
    Holder(Box<Connection>),
    /// A task, until the connection ends.
    Task,
    /// None: the connection has ended.
    Ended,
}

impl Link {
    /// Drives the connection as far as it goes; the task is woken when it can go on.
    fn drive(&mut self, cx: &mut Context<'_>) {
        self.relay.listen(cx.waker());
        self.advance();
    }

    /// Drives the connection for whoever listens.
    fn advance(&mut self) {
        if let Driver::Holder(connection) = &mut self.driver
            && let Poll::Ready(ended) = Pin::new(connection).poll(&mut self.relay.context())
        {
            log_end(ended);
            self.driver = Driver::Ended;
        }
    }

    /// Whether the connection is there for another request, as far as is known without a look at the socket.
    fn is_ready(&self) -> bool {
        self.sender.is_ready() && !matches!(self.driver, Driver::Ended)
    }

    /// The context for what only driving the connection can bring about. A holder need not be woken by what it does
    /// itself, and would be polled twice for it. (Out of budget, tokio's channels ask to be polled again.)
    fn inner_context<'a>(&self, cx: &mut Context<'a>) -> Context<'a> {
        match self.driver {
            Driver::Holder(_) if has_budget_remaining() => Context::from_waker(Waker::noop()),
            _ => Context::from_waker(cx.waker()),
        }
    }

    /// Gives the connection a task of its own.
    fn detach(&mut self) {
        match mem::replace(&mut self.driver, Driver::Task) {
            Driver::Holder(connection) => drop(tokio::spawn(async move { log_end(connection.await) })),
            other => self.driver = other,
        }
    }

    /// Sends a request and waits for the head of its response, for as long as the endpoint may take.
    async fn send_in_time(
        &mut self,
        request: Box<Request<Body>>,
        limit: Option<Duration>,
        watch: &Watch,
    ) -> Result<Response<Incoming>, Unanswered> {
        self.life.left -= 1;
        let sent = match limit {
            None => self.send(request).await,
            Some(limit) => {
                let answer = Box::pin(upload::within(limit, watch, self.send(request))).await;
                answer.ok_or(Unanswered::Late(limit))?
            }
        };
        sent.map_err(Unanswered::Failed)
    }

    /// Sends a request and waits for the head of its response.
    async fn send(&mut self, request: Box<Request<Body>>) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        if !request.body().is_end_stream() {
            self.detach();
        }
        // A connection that was closed meanwhile is found out when it is driven: then the request comes back.
        self.relay.hush();
        let mut response = pin!(self.sender.try_send_request(*request));
        poll_fn(|cx| {
            self.drive(cx);
            response.as_mut().poll(&mut self.inner_context(cx))
        })
        .await
    }
}

fn log_end(ended: hyper::Result<()>) {
    // Who waits for a response learns of the error there; an unused connection may end as it likes.
    if let Err(error) = ended {
        tracing::debug!(%error, "an upstream connection ended");
    }
}

/// Connections not in use: the last one used goes out first, so that those too many grow old at the bottom.
#[derive(Default)]
pub(super) struct Parked(Vec<(Link, Instant)>);

impl Parked {
    /// A connection that is open as far as anybody knows.
    pub(super) fn take(&mut self, now: Instant, idle_timeout: Duration, client: Option<Ends>) -> Option<Link> {
        while let Some((link, since)) = self.next(client) {
            if link.is_ready() && now.duration_since(since) < idle_timeout && link.life.goes_on(|| now) {
                return Some(link);
            }
        }
        None
    }

    /// The one that is unused for the longest time.
    pub(super) fn oldest(&mut self) -> Option<Link> {
        (!self.0.is_empty()).then(|| self.0.remove(0).0)
    }

    fn next(&mut self, client: Option<Ends>) -> Option<(Link, Instant)> {
        match client {
            None => self.0.pop(),
            Some(_) => {
                let at = self.0.iter().rposition(|(link, _)| link.life.client == client)?;
                Some(self.0.remove(at))
            }
        }
    }

    /// Whether there is a connection for this client, open or not.
    pub(super) fn has_one(&self, client: Option<Ends>) -> bool {
        self.0.iter().any(|(link, _)| client.is_none() || link.life.client == client)
    }

    /// Closes what was unused for too long, and what the endpoint closed; when to look again.
    pub(super) fn sweep(&mut self, now: Instant, limits: &Limits) -> Option<Instant> {
        let mut surplus = self.surplus(limits);
        self.0.retain_mut(|(link, since)| {
            let most = if surplus > 0 { SURPLUS.min(limits.idle_timeout) } else { limits.idle_timeout };
            link.advance();
            let stays = link.is_ready() && now.duration_since(*since) < most && link.life.goes_on(|| now);
            surplus = surplus.saturating_sub(usize::from(!stays));
            stays
        });
        let look = if self.surplus(limits) > 0 { SURPLUS } else { LOOK };
        self.0.first().map(|(_, since)| (*since + limits.idle_timeout).min(now + look))
    }

    /// How many more there are than are to be kept.
    fn surplus(&self, limits: &Limits) -> usize {
        self.0.len().saturating_sub(limits.idle_connections)
    }
}

/// Sends a request on a connection at hand, or else on a new one; `fresh` is one that was made for it.
///
/// A connection at hand may have been closed by the endpoint a moment ago. Where nothing was sent on it, the request
/// goes out again on a new one; and so does, once, a repeatable request that got no answer.
pub(super) async fn exchange(
    flight: Flight,
    mut request: Box<Request<Body>>,
    terms: &Terms<'_>,
    fresh: Option<Link>,
) -> Result<Response<Body>, Failure> {
    let slot = &flight.slot;
    let (watch, limit) = (&terms.watch, slot.limits.response_timeout);
    message::for_http1(&mut request);
    if request.extensions().get::<Asked>().is_some() {
        return Box::pin(upgrade::exchange(flight, request, terms)).await;
    }
    let at_hand = match fresh {
        Some(_) => None,
        None => slot.parked.lock().take(flight.begun.into(), slot.limits.idle_timeout, terms.client(slot)),
    };
    if let Some(mut link) = at_hand {
        let spare = Spare::of(&request, terms.again);
        match link.send_in_time(request, limit, watch).await {
            Ok(response) => return finish(response, link, flight),
            Err(Unanswered::Late(after)) => return Err(Failure { error: slot.late(after), unsent: None }),
            Err(Unanswered::Failed(mut failed)) => match failed.take_message() {
                Some(unsent) => request = Box::new(unsent),
                None => match spare.take() {
                    Some(again) if !failed.error().is_parse() => {
                        request = again;
                        message::for_http1(&mut request);
                    }
                    _ => return Err(Failure { error: slot.explain(failed.into_error(), watch), unsent: None }),
                },
            },
        }
    }
    let link = match fresh {
        Some(link) => Ok(link),
        // Boxed, as most requests find a connection at hand.
        None => Box::pin(open(slot, terms)).await,
    };
    let mut link = match link {
        Ok(link) => link,
        Err(error) => return Err(Failure { error, unsent: Some(request) }),
    };
    match link.send_in_time(request, limit, watch).await {
        Ok(response) => finish(response, link, flight),
        Err(Unanswered::Late(after)) => Err(Failure { error: slot.late(after), unsent: None }),
        Err(Unanswered::Failed(mut failed)) => {
            let unsent = failed.take_message().map(Box::new);
            Err(Failure { error: slot.explain(failed.into_error(), watch), unsent })
        }
    }
}

/// A new connection.
async fn open(slot: &Slot, terms: &Terms<'_>) -> Result<Link, super::Error> {
    let Some(connections) = &slot.common.connections else {
        let (wire, _) = slot.connect_at(None, terms, Offer::Http1).await?;
        return adopt(slot, wire, terms).await;
    };
    match connections.turn(slot, terms, slot.limits.connect_timeout, true).await {
        Some(Turn::Link(link)) => Ok(link),
        Some(Turn::Place(place)) => {
            let (wire, _) = slot.connect_at(Some(place), terms, Offer::Http1).await?;
            adopt(slot, wire, terms).await
        }
        None => Err(slot.over_connections(terms)),
    }
}

/// Speaks HTTP/1.1 on a connection that was just made.
pub(super) async fn adopt(slot: &Slot, wire: Wire, terms: &Terms<'_>) -> Result<Link, super::Error> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER).max_header_size(BUFFER);
    let (sender, connection) =
        builder.handshake(TokioIo::new(wire)).await.map_err(|error| slot.explain(error, &Watch::default()))?;
    Ok(Link { sender, driver: Driver::Holder(Box::new(connection)), relay: Relay::new(), life: slot.life(terms) })
}

/// Makes gofe's response of hyper's, and gives the connection back when the body has ended.
fn finish(response: Response<Incoming>, link: Link, flight: Flight) -> Result<Response<Body>, Failure> {
    flight.slot.check(&response).map_err(|error| Failure { error, unsent: None })?;
    let (mut parts, incoming) = response.into_parts();
    parts.version = Version::HTTP_11;
    let body = if incoming.is_end_stream() {
        Lease { link, flight }.give_back();
        Body::Empty
    } else {
        let slot = Arc::clone(&flight.slot);
        slot.timed(Body::layered(Download { incoming, lease: Some(Lease { link, flight }) }))
    };
    Ok(Response::from_parts(parts, body))
}

/// A connection in use. Dropped, it is closed.
struct Lease {
    link: Link,
    flight: Flight,
}

impl Lease {
    /// Parks the connection. It is ready as soon as both bodies have ended; where the request's has not, a task
    /// waits for that, at most as long as an unused connection is kept.
    fn give_back(self) {
        let Self { mut link, flight } = self;
        link.relay.hush();
        if !link.is_ready() {
            link.advance();
        }
        if link.is_ready() {
            park(link, &flight);
        } else if !link.sender.is_closed()
            && let Ok(runtime) = Handle::try_current()
        {
            link.detach();
            runtime.spawn(async move {
                if let Ok(Ok(())) = timeout(flight.slot.limits.idle_timeout, link.sender.ready()).await {
                    park(link, &flight);
                }
            });
        }
    }
}

fn park(link: Link, flight: &Flight) {
    let slot = &flight.slot;
    let now = Instant::now();
    if !link.life.goes_on(|| now) {
        return;
    }
    if let Some(connections) = &slot.common.connections {
        match slot.waiting.load(Relaxed) {
            // Who waits elsewhere has no use for this one, but for its place.
            0 if connections.is_wanted() => return,
            0 => {}
            _ => slot.parked_one.notify_one(),
        }
    }
    if slot.limits.idle_connections == 0 {
        return;
    }
    let first = {
        let mut parked = slot.parked.lock();
        parked.0.push((link, now));
        parked.0.len() == 1
    };
    if first {
        slot.sweep_later();
    }
}

/// A response's body, which holds its connection until the end.
struct Download {
    incoming: Incoming,
    lease: Option<Lease>,
}

impl Download {
    /// The next frame: one that is there already, or what driving the connection brings.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut incoming = Pin::new(&mut self.incoming);
        let Some(Lease { link, .. }) = &mut self.lease else { return incoming.poll_frame(cx) };
        let polled = link.relay.take(|| incoming.as_mut().poll_frame(&mut link.inner_context(cx)));
        if polled.is_ready() || !matches!(link.driver, Driver::Holder(_)) {
            return polled;
        }
        link.drive(cx);
        link.relay.take(|| incoming.as_mut().poll_frame(&mut link.inner_context(cx)))
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Poll::Ready(polled) = this.poll_incoming(cx) else { return Poll::Pending };
        let ended = match &polled {
            None => true,
            // Who reads the body need not ask again after the last frame.
            Some(Ok(frame)) => frame.is_trailers() || this.incoming.is_end_stream(),
            Some(Err(_)) => {
                if let Some(lease) = this.lease.take() {
                    lease.flight.failed();
                }
                false
            }
        };
        if ended && let Some(lease) = this.lease.take() {
            lease.give_back();
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

/// What is wrong with a response, in words.
pub(super) fn parse_error(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
