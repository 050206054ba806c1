//! HTTP/1.1 towards an endpoint: one request at a time on a connection, which is kept for the next.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::message;
use super::slot::{Failure, Flight, Slot};
use super::upload::Watch;
use crate::http::{Body, BodyError};

/// The most bytes of a response's header section, and of what is read ahead of a slow client.
const BUFFER: usize = 64 << 10;

type Sender = SendRequest<Body>;

/// Connections not in use: the last one used goes out first, so that those too many grow old at the bottom.
#[derive(Default)]
pub(super) struct Parked(Vec<(Sender, Instant)>);

impl Parked {
    /// A connection that is open as far as anybody knows.
    fn take(&mut self, idle_timeout: Duration) -> Option<Sender> {
        while let Some((sender, since)) = self.0.pop() {
            if sender.is_ready() && since.elapsed() < idle_timeout {
                return Some(sender);
            }
        }
        None
    }

    /// Closes what was unused for too long, and what the endpoint closed; when the oldest left will be due.
    pub(super) fn sweep(&mut self, now: Instant, idle_timeout: Duration) -> Option<Instant> {
        self.0.retain(|(sender, since)| sender.is_ready() && now.duration_since(*since) < idle_timeout);
        self.0.first().map(|(_, since)| *since + idle_timeout)
    }
}

/// Sends a request on a connection at hand, or else on a new one.
///
/// A connection at hand may have been closed by the endpoint a moment ago. Where nothing was sent on it, the request
/// goes out again on a new one; and so does, once, a repeatable request that got no answer.
pub(super) async fn exchange(
    flight: Flight,
    mut request: Request<Body>,
    watch: &Watch,
) -> Result<Response<Body>, Failure> {
    let slot = &flight.slot;
    let at_hand = slot.parked.lock().take(slot.limits.idle_timeout);
    if let Some(mut sender) = at_hand {
        let copy = message::is_repeatable(&request).then(|| message::copy(&request));
        match sender.try_send_request(request).await {
            Ok(response) => return finish(response, sender, flight),
            Err(mut failed) => match failed.take_message() {
                Some(unsent) => request = unsent,
                None => match copy {
                    Some(copy) if !failed.error().is_parse() => request = copy,
                    _ => return Err(Failure { error: slot.explain(failed.into_error(), watch), unsent: None }),
                },
            },
        }
    }
    let mut sender = match open(slot).await {
        Ok(sender) => sender,
        Err(error) => return Err(Failure { error, unsent: Some(Box::new(request)) }),
    };
    match sender.try_send_request(request).await {
        Ok(response) => finish(response, sender, flight),
        Err(mut failed) => {
            let unsent = failed.take_message().map(Box::new);
            Err(Failure { error: slot.explain(failed.into_error(), watch), unsent })
        }
    }
}

/// A new connection.
async fn open(slot: &Slot) -> Result<Sender, super::Error> {
    let stream = slot.connect().await?;
    let mut builder = Builder::new();
    builder.max_buf_size(BUFFER).max_header_size(BUFFER);
    let (sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| slot.explain(error, &Watch::default()))?;
    tokio::spawn(async move {
        // Who waits for a response learns of the error there; an unused connection may end as it likes.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an upstream connection ended");
        }
    });
    Ok(sender)
}

/// Makes gofe's response of hyper's, and gives the connection back when the body has ended.
fn finish(response: Response<Incoming>, sender: Sender, flight: Flight) -> Result<Response<Body>, Failure> {
    flight.slot.check(&response).map_err(|error| Failure { error, unsent: None })?;
    let (mut parts, incoming) = response.into_parts();
    parts.version = Version::HTTP_11;
    let lease = Lease { sender, flight };
    let body = if incoming.is_end_stream() {
        lease.give_back();
        Body::Empty
    } else {
        Body::layered(Download { incoming, lease: Some(lease) })
    };
    Ok(Response::from_parts(parts, body))
}

/// A connection in use. Dropped, it is closed.
struct Lease {
    sender: Sender,
    flight: Flight,
}

impl Lease {
    /// Parks the connection. It is ready as soon as both bodies have ended; where the request's has not, a task
    /// waits for that, at most as long as an unused connection is kept.
    fn give_back(self) {
        let Self { mut sender, flight } = self;
        if sender.is_ready() {
            park(sender, &flight);
        } else if !sender.is_closed()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move {
                if let Ok(Ok(())) = timeout(flight.slot.limits.idle_timeout, sender.ready()).await {
                    park(sender, &flight);
                }
            });
        }
    }
}

fn park(sender: Sender, flight: &Flight) {
    let slot = &flight.slot;
    let first = {
        let mut parked = slot.parked.lock();
        if parked.0.len() >= slot.limits.idle_connections {
            return;
        }
        parked.0.push((sender, Instant::now()));
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

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Poll::Ready(polled) = Pin::new(&mut this.incoming).poll_frame(cx) else { return Poll::Pending };
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
