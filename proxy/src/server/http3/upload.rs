//! A request's body as HTTP/3 brings it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h3::server::RequestStream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};

use crate::http::{Body, BodyError};

type Stream = RequestStream<h3_quinn::RecvStream, Bytes>;

/// The length that a request says its body has, where it does; an error where it says two.
pub(super) fn length(headers: &HeaderMap) -> Result<Option<u64>, ()> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(None) };
    let digits = length.as_bytes().iter().all(u8::is_ascii_digit) && lengths.next().is_none();
    length.to_str().ok().filter(|_| digits).and_then(|length| length.parse().ok()).map(Some).ok_or(())
}

/// The body on a stream. One that has ended already is none, so that an upstream gets a request without a body.
pub(super) async fn body(stream: Stream, length: Option<u64>) -> Body {
    let mut upload = Upload { stream, first: None, left: length, data_ended: false, ended: false };
    // One look: who sends no body says so together with the head.
    match poll_fn(|cx| Poll::Ready(upload.poll(cx))).await {
        Poll::Ready(None) => return Body::Empty,
        Poll::Ready(Some(first)) => upload.first = Some(first),
        Poll::Pending => {}
    }
    Body::layered(upload)
}

fn poll_data(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
    let data = ready!(stream.poll_recv_data(cx)).map_err(|error| BodyError::Broken(error.to_string()))?;
    Poll::Ready(Ok(data.map(|mut data| data.copy_to_bytes(data.remaining()))))
}

struct Upload {
    stream: Stream,
    /// What the first look at the stream brought.
    first: Option<Result<Frame<Bytes>, BodyError>>,
    /// Bytes that the length promises and that have not come.
    left: Option<u64>,
    data_ended: bool,
    ended: bool,
}

impl Upload {
    /// A body is as long as it says, or it is none: who goes on with it may rely on the length.
    fn count(&mut self, data: &Bytes) -> Result<(), BodyError> {
        if let Some(left) = &mut self.left {
            let rest = left.checked_sub(data.len() as u64);
            *left = rest.ok_or_else(|| BodyError::Broken("the body is longer than its length".to_owned()))?;
        }
        Ok(())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        while !self.data_ended {
            match ready!(poll_data(&mut self.stream, cx))? {
                Some(data) if data.is_empty() => {}
                Some(data) => {
                    self.count(&data)?;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                None => self.data_ended = true,
            }
        }
        if self.left.is_some_and(|left| left > 0) {
            return Poll::Ready(Some(Err(BodyError::Broken("the body is shorter than its length".to_owned()))));
        }
        let trailers = ready!(self.stream.poll_recv_trailers(cx));
        self.ended = true;
        match trailers {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(Some(Err(BodyError::Broken(error.to_string())))),
        }
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = self.poll(cx);
        if let Poll::Ready(Some(Err(_))) = &polled {
            self.ended = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.first.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let waiting = match &self.first {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len) as u64,
            _ => 0,
        };
        self.left.map_or_else(SizeHint::default, |left| SizeHint::with_exact(left + waiting))
    }
}
