//! The one body type that flows through gofe.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

/// Why a body broke off. It is an enum and not a boxed error, because `server::rescue` decides by it.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The peer that sends the body closed, reset or broke the framing.
    #[error("the sender broke off: {0}")]
    Sender(#[from] hyper::Error),
    /// The same where it is not hyper that reads it, or what it carries is not what it says.
    #[error("the sender broke off: {0}")]
    Broken(String),
    /// The body is longer than the limit allows.
    #[error("the body is over the limit of {0} bytes")]
    TooLarge(u64),
    /// No byte came for this long.
    #[error("the body did not move for {0:?}")]
    Idle(std::time::Duration),
    /// The bytes came, and so few of them that it would never end.
    #[error("the body came with less than {0} bytes a second")]
    Slow(u64),
    /// A plugin ended the request while its body was on the way.
    #[error("a plugin ended the request")]
    Ended,
}

/// A message body: nothing, bytes in hand, a body from the wire, or one that a layer works on.
#[derive(Default)]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// All of the body.
    Full(Option<Bytes>),
    /// A body from the wire, passed on as it comes.
    Incoming(Incoming),
    /// A body that a layer (limits, the chain, the end-of-request guard) stands around.
    Layered(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>),
}

impl Body {
    /// A body of these bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::Empty } else { Self::Full(Some(bytes)) }
    }

    /// A body that `layer` produces.
    pub fn layered(layer: impl http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Self::Layered(Box::pin(layer))
    }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        if http_body::Body::is_end_stream(&incoming) { Self::Empty } else { Self::Incoming(incoming) }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Incoming(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::Sender),
            Self::Layered(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_none(),
            Self::Incoming(body) => body.is_end_stream(),
            Self::Layered(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Incoming(body) => body.size_hint(),
            Self::Layered(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Full(_) => "Full",
            Self::Incoming(_) => "Incoming",
            Self::Layered(_) => "Layered",
        })
    }
}
