//! The client's request body on its way to an endpoint.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;

use crate::http::{Body, BodyError};

/// Why a request body broke off, where it did.
///
/// hyper wraps a body's error, or (for HTTP/2) drops it and says only that it reset the stream; the reason decides
/// whether the client or the upstream is to blame, so it is kept beside the request.
#[derive(Default)]
pub(super) struct Watch(Option<Arc<Mutex<Option<BodyError>>>>);

impl Watch {
    /// Puts a watch on a body that can fail; one that is in hand cannot.
    pub(super) fn over(body: &mut Body) -> Self {
        if matches!(body, Body::Empty | Body::Full(_)) {
            return Self(None);
        }
        let fault = Arc::new(Mutex::new(None));
        let upload = Upload { body: std::mem::replace(body, Body::Empty), fault: Arc::clone(&fault) };
        *body = Body::layered(upload);
        Self(Some(fault))
    }

    /// The error that ended the body.
    pub(super) fn fault(&self) -> Option<BodyError> {
        self.0.as_ref()?.lock().take()
    }
}

struct Upload {
    body: Body,
    fault: Arc<Mutex<Option<BodyError>>>,
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Err(error))) => {
                *this.fault.lock() = Some(error);
                Poll::Ready(Some(Err(BodyError::Ended)))
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
