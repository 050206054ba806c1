//! How calls of gRPC end, for outlier detection: their status is 200 whatever becomes of them, and what became of them stands
//! in the header of a response that has nothing else, or in the trailers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};

use super::outcome::{End, Outcome};
use super::slot::Slot;
use crate::http::{Body, BodyError, grpc};

/// What outlier detection hears of a response when its head is there; nothing where the trailers will say it.
pub(super) fn of_head(response: &Response<Body>) -> Option<End> {
    if response.status() != StatusCode::OK || !grpc::is_answer(response.headers()) {
        return Some(End::Response(response.status()));
    }
    match grpc::status(response.headers()) {
        Some(status) => Some(End::Response(grpc::as_http(status))),
        None => response.body().is_end_stream().then_some(End::Broken),
    }
}

/// A response's body whose trailers say how the call ended. A call that is given up says nothing.
pub(super) struct Judged {
    body: Body,
    slot: Arc<Slot>,
    latency: Duration,
    told: bool,
}

impl Judged {
    /// Listens to a body; `latency` is what the head took.
    pub(super) fn over(body: Body, slot: &Arc<Slot>, latency: Duration) -> Body {
        Body::layered(Self { body, slot: Arc::clone(slot), latency, told: false })
    }

    fn tell(&mut self, end: End) {
        if !std::mem::replace(&mut self.told, true) {
            let outcome = Outcome { end, judged: Some(end), latency: self.latency, at: Instant::now() };
            self.slot.judges.judge(&outcome, &self.slot.endpoint);
        }
    }
}

impl http_body::Body for Judged {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else { return Poll::Pending };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(status) = frame.trailers_ref().map(grpc::status) {
                    this.tell(status.map_or(End::Broken, |status| End::Response(grpc::as_http(status))));
                }
            }
            // Without trailers there is no status.
            Some(Err(_)) | None => this.tell(End::Broken),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
