//! A body put together: bytes in hand, a body that follows, and trailers behind it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::{Body, BodyError};

/// Bytes, then another body, then trailers.
pub struct Joined {
    prefix: Option<Bytes>,
    rest: Body,
    /// Added to those that `rest` has.
    trailers: HeaderMap,
}

impl Joined {
    /// A body that begins with `prefix`, goes on with `rest`, and has `trailers` besides its own.
    pub fn body(prefix: Bytes, rest: Body, trailers: HeaderMap) -> Body {
        let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
        Body::layered(Self { prefix, rest, trailers })
    }
}

impl http_body::Body for Joined {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(prefix) = self.prefix.take() {
            return Poll::Ready(Some(Ok(Frame::data(prefix))));
        }
        match Pin::new(&mut self.rest).poll_frame(cx) {
            Poll::Ready(None) if !self.trailers.is_empty() => {
                Poll::Ready(Some(Ok(Frame::trailers(std::mem::take(&mut self.trailers)))))
            }
            Poll::Ready(Some(Ok(frame))) if !self.trailers.is_empty() => {
                Poll::Ready(Some(Ok(match frame.into_trailers() {
                    Ok(mut trailers) => {
                        for (name, value) in &std::mem::take(&mut self.trailers) {
                            trailers.append(name, value.clone());
                        }
                        Frame::trailers(trailers)
                    }
                    Err(frame) => frame,
                })))
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.prefix.is_none() && self.trailers.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let prefix = self.prefix.as_ref().map_or(0, |prefix| prefix.len() as u64);
        let mut hint = SizeHint::new();
        let rest = self.rest.size_hint();
        hint.set_lower(rest.lower() + prefix);
        if self.trailers.is_empty()
            && let Some(upper) = rest.upper()
        {
            hint.set_upper(upper + prefix);
        }
        hint
    }
}
