//! The client's request body on its way to an endpoint.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::http::{Body, BodyError};

/// Why a request body broke off, where it did.
///
/// hyper wraps a body's error, or (for HTTP/2) drops it and says only that it reset the stream; the reason decides
/// whether the client or the upstream is to blame, so it is kept beside the request.
#[derive(Default)]
pub(super) struct Watch(Option<Arc<Mutex<End>>>);

/// The end of a request body, once it was there.
#[derive(Default)]
struct End {
    at: Option<Instant>,
    fault: Option<BodyError>,
}

impl Watch {
    /// Puts a watch on a body that can fail; one that is in hand cannot.
    pub(super) fn over(body: &mut Body) -> Self {
        if matches!(body, Body::Empty | Body::Full(_)) {
            return Self(None);
        }
        let end = Arc::new(Mutex::new(End::default()));
        let upload = Upload { body: std::mem::replace(body, Body::Empty), end: Arc::clone(&end) };
        *body = Body::layered(upload);
        Self(Some(end))
    }

    /// The error that ended the body.
    pub(super) fn fault(&self) -> Option<BodyError> {
        self.0.as_ref()?.lock().fault.take()
    }

    /// When the body had ended, where `begun` is when it began; none while it has not.
    pub(super) fn ended(&self, begun: Instant) -> Option<Instant> {
        self.0.as_ref().map_or(Some(begun), |end| end.lock().at)
    }
}

struct Upload {
    body: Body,
    end: Arc<Mutex<End>>,
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Err(error))) => {
                *this.end.lock() = End { at: Some(Instant::now()), fault: Some(error) };
                Poll::Ready(Some(Err(BodyError::Ended)))
            }
            Poll::Ready(frame) => {
                if this.body.is_end_stream() || frame.is_none() {
                    this.end.lock().at.get_or_insert_with(Instant::now);
                }
                Poll::Ready(frame)
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

/// Waits for what answers a request, at most for `limit` from the end of the request's body on.
pub(super) async fn within<F: Future>(limit: Duration, watch: &Watch, answer: F) -> Option<F::Output> {
    let begun = Instant::now();
    let mut answer = pin!(answer);
    let mut end = begun + limit;
    loop {
        if let Ok(answer) = timeout_at(end, answer.as_mut()).await {
            return Some(answer);
        }
        // While the body is on its way, nobody can be late with the answer to it.
        let ended = watch.ended(begun).unwrap_or_else(Instant::now);
        if ended + limit <= end {
            return None;
        }
        end = ended + limit;
    }
}
