//! Bodies between gofe and components, in both directions.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use wasmtime_wasi_http::{Error, WasiBody};

use super::call::{Call, Hold};
use crate::http::{Body, BodyError};

/// A body on its way to the guest. What the guest has not read of it can be taken back.
pub(super) struct Inbound {
    source: Source,
    call: Arc<Call>,
}

/// A body that a guest reads.
#[derive(Clone)]
pub(super) struct Source(Arc<Mutex<(Body, bool)>>);

impl Inbound {
    pub(super) fn over(body: Body, call: Arc<Call>) -> (WasiBody, Source) {
        let source = Source(Arc::new(Mutex::new((body, false))));
        (Self { source: source.clone(), call }.boxed_unsync(), source)
    }
}

impl Source {
    /// The whole body; nothing where the guest has read a part of it.
    pub(super) fn take_back(&self) -> Option<Body> {
        let mut source = self.0.lock();
        (!source.1).then(|| std::mem::take(&mut source.0))
    }
}

impl http_body::Body for Inbound {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let mut source = this.source.0.lock();
        let polled = Pin::new(&mut source.0).poll_frame(cx);
        if polled.is_ready() {
            source.1 = true;
            this.call.goes_on();
        }
        polled.map_err(|error| to_guest(&error))
    }

    fn is_end_stream(&self) -> bool {
        self.source.0.lock().0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.source.0.lock().0.size_hint()
    }
}

/// What a guest learns of a body that broke off.
fn to_guest(error: &BodyError) -> Error {
    match error {
        BodyError::TooLarge(most) => Error::HttpRequestBodySize(Some(*most)),
        BodyError::Idle(_) | BodyError::Slow(_) => Error::ConnectionReadTimeout,
        BodyError::Sender(_) | BodyError::Broken(_) | BodyError::Ended => Error::ConnectionTerminated,
    }
}

/// A response's body on its way from the guest: the request is in hand until its end.
pub(super) struct Outbound {
    body: WasiBody,
    hold: Option<Hold>,
    /// Bytes that are still to come, where the response says how many it has.
    left: Option<u64>,
}

impl Outbound {
    /// The body of a response; none where the answer to this method has none (RFC 9110, section 6.4.1).
    pub(super) fn over(response: Response<WasiBody>, hold: Hold, method: &Method) -> Response<Body> {
        let none = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let left = response.headers().get(CONTENT_LENGTH);
        let left = left.and_then(|length| length.to_str().ok()?.parse().ok());
        response.map(|body| {
            if none || *method == Method::HEAD || http_body::Body::is_end_stream(&body) {
                hold.complete();
                return Body::Empty;
            }
            Body::layered(Self { body, hold: Some(hold), left })
        })
    }

    /// Whether nothing follows this. Who reads a body of a known length need not ask again.
    ///
    /// # Errors
    /// When it is more than the response says.
    fn ends(&mut self, frame: &Frame<Bytes>) -> Result<bool, BodyError> {
        let Some(data) = frame.data_ref() else { return Ok(true) };
        let Some(left) = self.left else { return Ok(false) };
        let left = left.checked_sub(data.len() as u64);
        let left = left.ok_or_else(|| BodyError::Broken("it is longer than its content-length".to_owned()))?;
        self.left = Some(left);
        Ok(left == 0)
    }
}

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(hold) = &this.hold {
                    hold.call().goes_on();
                }
                let ends = match this.ends(&frame) {
                    Ok(ends) => ends,
                    Err(error) => {
                        this.hold = None;
                        return Poll::Ready(Some(Err(error)));
                    }
                };
                if ends && let Some(hold) = this.hold.take() {
                    hold.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let fault = this.hold.take().and_then(|hold| hold.call().fault());
                let reason = fault.map_or_else(|| error.to_string(), |fault| fault.message);
                Poll::Ready(Some(Err(BodyError::Broken(reason))))
            }
            Poll::Ready(None) => Poll::Ready(this.hold.take().and_then(|hold| match hold.call().fault() {
                // A body ends also because its instance does.
                Some(fault) => Some(Err(BodyError::Broken(fault.message))),
                None => {
                    hold.complete();
                    None
                }
            })),
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

/// The body of a request that the guest sends or hands on.
pub(super) struct Sent {
    body: WasiBody,
    goes_on: Box<dyn Fn() + Send>,
}

impl Sent {
    pub(super) fn over(body: WasiBody, goes_on: impl Fn() + Send + 'static) -> Body {
        if http_body::Body::is_end_stream(&body) {
            return Body::Empty;
        }
        Body::layered(Self { body, goes_on: Box::new(goes_on) })
    }
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if polled.is_ready() {
            (this.goes_on)();
        }
        polled.map_err(|error| BodyError::Broken(error.to_string()))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
