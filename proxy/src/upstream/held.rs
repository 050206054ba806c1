//! A response's body that holds something until its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::common::Ticket;
use crate::http::{Body, BodyError};

/// A response's body; its request counts until the body has ended.
pub(super) struct Held {
    body: Body,
    ticket: Option<Ticket>,
}

impl Held {
    /// Lets a request count until its response has ended.
    pub(super) fn over(body: Body, ticket: Ticket) -> Body {
        if http_body::Body::is_end_stream(&body) { body } else { Body::layered(Self { body, ticket: Some(ticket) }) }
    }
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        let over = matches!(polled, Poll::Ready(None | Some(Err(_)))) || this.body.is_end_stream();
        if over {
            this.ticket = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
