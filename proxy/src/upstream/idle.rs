//! A response's body that may not stand still.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::http::{Body, BodyError};

/// A body that breaks off when nothing of it comes for too long. Time in which nobody wants the next part does not
/// count.
pub(super) struct Idle {
    body: Body,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
    waits: bool,
}

impl Idle {
    /// Puts a limit on a body; one that is in hand already needs none.
    pub(super) fn over(body: Body, limit: Option<Duration>) -> Body {
        match (body, limit) {
            (Body::Layered(body), Some(limit)) => {
                let timer = Box::pin(sleep(limit));
                Body::layered(Self { body: Body::Layered(body), limit, timer, waits: false })
            }
            (body, _) => body,
        }
    }
}

impl http_body::Body for Idle {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.waits = false;
            return Poll::Ready(frame);
        }
        if !this.waits {
            this.waits = true;
            this.timer.as_mut().reset(Instant::now() + this.limit);
        }
        match this.timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                // The connection goes with it.
                this.body = Body::Empty;
                Poll::Ready(Some(Err(BodyError::Idle(this.limit))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
