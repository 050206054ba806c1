//! The body pump: takes a body through the steps of a chain, chunk by chunk or whole.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use parking_lot::Mutex;

use super::runner::{BodyPlan, Chunk, ChunkKind, Hand};
use super::{BodyPolicy, Chain, Exchange, Filter, Overflow, Phase, Reply, Shared};
use crate::http::{Body, BodyError};

/// What became of a body.
pub enum Pumped {
    /// It goes on; the hand may have become a shared one.
    Body(Body),
    /// A plugin answered, or the body is too long for a plugin that must see all of it.
    Reply(Reply),
}

impl<F: Filter> Chain<F> {
    /// Takes a body through the chain. A body that a step buffers is read to its end first, so that the headers
    /// wait until it is judged; one that is streamed is worked on while it flows.
    pub async fn pump(self: &Arc<Self>, phase: Phase, hand: &mut Hand, body: Body) -> Result<Pumped, BodyError> {
        match self.plan(phase) {
            BodyPlan::Pass => Ok(Pumped::Body(body)),
            _ if !self.changes_length(phase) && http_body::Body::is_end_stream(&body) => Ok(Pumped::Body(body)),
            BodyPlan::Stream => {
                close(phase, &mut *hand.lock().await);
                Ok(Pumped::Body(self.stream(phase, hand.share(), body)))
            }
            BodyPlan::Buffer(limit) => match read(body, limit).await? {
                Collected::Whole(bytes, trailers) => {
                    Ok(self.whole(phase, &mut *hand.lock().await, bytes, trailers).await)
                }
                Collected::Over(..) if self.rejects(phase, limit + 1) => Ok(Pumped::Reply(too_large(phase))),
                Collected::Over(prefix, rest) => {
                    close(phase, &mut *hand.lock().await);
                    let body = Body::layered(Prefixed { prefix: Some(prefix), rest });
                    Ok(Pumped::Body(self.stream(phase, hand.share(), body)))
                }
            },
        }
    }

    async fn whole(&self, phase: Phase, exchange: &mut Exchange, bytes: Bytes, trailers: Option<HeaderMap>) -> Pumped {
        if self.rejects(phase, bytes.len() as u64) {
            return Pumped::Reply(too_large(phase));
        }
        exchange.trailers = trailers;
        let bytes = self.body(phase, exchange, Chunk { bytes, end: true, kind: ChunkKind::Whole }).await;
        let trailers = exchange.trailers.take();
        match bytes {
            Some(bytes) => Pumped::Body(match trailers {
                None => Body::full(bytes),
                Some(trailers) => {
                    let tail = Body::layered(Trailers(Some(trailers)));
                    Body::layered(Prefixed { prefix: Some(bytes), rest: tail })
                }
            }),
            None => Pumped::Reply(reply(exchange)),
        }
    }

    /// Whether a step refuses a body of this length.
    fn rejects(&self, phase: Phase, length: u64) -> bool {
        self.taking(phase).iter().any(|&at| {
            matches!(self.policy(at, phase), BodyPolicy::Buffer { limit, overflow: Overflow::Reject } if length > limit)
        })
    }

    fn stream(self: &Arc<Self>, phase: Phase, shared: Shared, body: Body) -> Body {
        let slot = Arc::new(Mutex::new(None));
        let work = Box::pin(work(self.clone(), phase, shared, body, Slot(slot.clone())));
        Body::layered(Pump { work: Some(work), slot: Slot(slot) })
    }
}

/// The headers have gone on, or are about to.
fn close(phase: Phase, exchange: &mut Exchange) {
    match phase {
        Phase::ResponseBody => exchange.response_open = false,
        _ => exchange.request_open = false,
    }
}

/// The reply that a step left in the exchange.
fn reply(exchange: &mut Exchange) -> Reply {
    exchange.reply.take().unwrap_or_else(|| Reply::plain(StatusCode::INTERNAL_SERVER_ERROR))
}

fn too_large(phase: Phase) -> Reply {
    Reply::plain(match phase {
        Phase::ResponseBody => StatusCode::BAD_GATEWAY,
        _ => StatusCode::PAYLOAD_TOO_LARGE,
    })
}

enum Collected {
    Whole(Bytes, Option<HeaderMap>),
    Over(Bytes, Body),
}

/// Reads at most `limit` bytes and one chunk.
async fn read(mut body: Body, limit: u64) -> Result<Collected, BodyError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await.transpose()? {
        match frame.into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => return Ok(Collected::Whole(bytes.freeze(), frame.into_trailers().ok())),
        }
        if bytes.len() as u64 > limit {
            return Ok(Collected::Over(bytes.freeze(), body));
        }
    }
    Ok(Collected::Whole(bytes.freeze(), None))
}

/// Bytes that were read already, and what follows.
struct Prefixed {
    prefix: Option<Bytes>,
    rest: Body,
}

impl http_body::Body for Prefixed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.prefix.take() {
            Some(prefix) => Poll::Ready(Some(Ok(Frame::data(prefix)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }
}

/// The trailers behind a body that was buffered.
struct Trailers(Option<HeaderMap>);

impl http_body::Body for Trailers {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.0.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

/// Where the work puts the next frame and the reader takes it: room for one, which is the back-pressure.
struct Slot(Arc<Mutex<Option<Frame<Bytes>>>>);

impl Slot {
    /// Puts the last frame down.
    fn leave(&self, frame: Frame<Bytes>) {
        *self.0.lock() = Some(frame);
    }

    /// Puts a frame down and waits until it was taken. No waker is needed: who takes it polls the work next.
    async fn put(&self, frame: Frame<Bytes>) {
        *self.0.lock() = Some(frame);
        poll_fn(|_| if self.0.lock().is_none() { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

type Work = Pin<Box<dyn Future<Output = Result<(), BodyError>> + Send>>;

/// A streamed body: the work runs when somebody wants a frame, in the task of that reader.
struct Pump {
    work: Option<Work>,
    slot: Slot,
}

async fn work<F: Filter>(
    chain: Arc<Chain<F>>,
    phase: Phase,
    shared: Shared,
    mut body: Body,
    slot: Slot,
) -> Result<(), BodyError> {
    loop {
        let (bytes, trailers, end) = match body.frame().await.transpose()? {
            None => (Bytes::new(), None, true),
            Some(frame) => match frame.into_data() {
                Ok(data) => (data, None, http_body::Body::is_end_stream(&body)),
                Err(trailers) => (Bytes::new(), Some(trailers), true),
            },
        };
        let chunk = Chunk { bytes, end, kind: ChunkKind::Part };
        let mut exchange = shared.lock().await;
        exchange.trailers = trailers.and_then(|trailers| trailers.into_trailers().ok());
        let bytes = chain.body(phase, &mut exchange, chunk).await.ok_or(BodyError::Ended)?;
        let trailers = exchange.trailers.take();
        drop(exchange);
        if let Some(trailers) = trailers {
            if !bytes.is_empty() {
                slot.put(Frame::data(bytes)).await;
            }
            slot.leave(Frame::trailers(trailers));
        } else if end && !bytes.is_empty() {
            // So the reader learns with the last frame that it is the last.
            slot.leave(Frame::data(bytes));
        } else if !bytes.is_empty() {
            slot.put(Frame::data(bytes)).await;
        }
        if end {
            return Ok(());
        }
    }
}

impl http_body::Body for Pump {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        let polled = work.as_mut().poll(cx);
        if polled.is_ready() {
            self.work = None;
        }
        let frame = self.slot.0.lock().take();
        match (polled, frame) {
            (_, Some(frame)) => Poll::Ready(Some(Ok(frame))),
            (Poll::Ready(Err(error)), None) => Poll::Ready(Some(Err(error))),
            (Poll::Ready(Ok(())), None) => Poll::Ready(None),
            (Poll::Pending, None) => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.work.is_none()
    }
}
