//! A request's body under its limits: so many bytes, and never still for too long.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::watch::Upload;
use crate::http::{Body, BodyError};

/// A metered body.
pub(super) struct Meter {
    body: Body,
    limit: u64,
    idle: Duration,
    /// The bytes so far, which the request's summary reads.
    bytes: Arc<AtomicU64>,
    /// Keeps the connection from rest until the body has ended.
    _upload: Upload,
    /// Runs while the client owes bytes.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Meter {
    pub(super) fn new(body: Body, limit: u64, idle: Duration, bytes: Arc<AtomicU64>, upload: Upload) -> Self {
        Self { body, limit, idle, bytes, _upload: upload, timer: None }
    }

    fn count(&self, frame: &Frame<Bytes>) -> Result<(), BodyError> {
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        let total = self.bytes.fetch_add(length, Ordering::Relaxed) + length;
        if total > self.limit { Err(BodyError::TooLarge(self.limit)) } else { Ok(()) }
    }
}

impl http_body::Body for Meter {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.timer = None;
                Poll::Ready(Some(this.count(&frame).map(|()| frame)))
            }
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending => {
                let idle = this.idle;
                let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + idle)));
                timer.as_mut().poll(cx).map(|()| Some(Err(BodyError::Idle(idle))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
