//! The deadline of a call, which holds for the whole of its answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::refusal;
use crate::http::{Body, BodyError};

/// The body of an answer, that ends with the deadline: by trailers that say so.
pub struct Deadline {
    body: Body,
    timer: Pin<Box<Sleep>>,
    over: bool,
}

impl Deadline {
    /// Puts a deadline on a body.
    pub fn new(body: Body, at: Instant) -> Self {
        Self { body, timer: Box::pin(sleep_until(at)), over: false }
    }
}

impl http_body::Body for Deadline {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        if this.timer.as_mut().poll(cx).is_ready() {
            this.over = true;
            // Dropped, it tells the upstream that nobody waits any more.
            this.body = Body::Empty;
            return Poll::Ready(Some(Ok(Frame::trailers(refusal(4, "the deadline of the call is over")))));
        }
        Pin::new(&mut this.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
