//! An endpoint that is no server in the network, but code that runs in gofe.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};

use super::slot::{Failure, Flight, Terms};
use super::{Error, message, upload};
use crate::config;
use crate::http::{Body, BodyError};

/// The endpoint of an upstream that has no other.
pub(super) fn endpoint() -> config::Endpoint {
    config::Endpoint {
        authority: http::uri::Authority::from_static("component"),
        socket: None,
        labels: std::collections::BTreeMap::new(),
        weight: 1,
        priority: 0,
    }
}

/// Lets the service answer a request.
pub(super) async fn exchange(
    flight: Flight,
    mut request: Box<Request<Body>>,
    terms: &Terms<'_>,
) -> Result<Response<Body>, Failure> {
    let slot = Arc::clone(&flight.slot);
    let Some(service) = &slot.common.service else {
        return Err(Failure { error: slot.closed(), unsent: Some(request) });
    };
    message::for_service(&mut request);
    let answer = service.answer(terms.events.worker, *request);
    let answered = match slot.limits.response_timeout {
        None => Some(answer.await),
        Some(limit) => upload::within(limit, &terms.watch, answer).await,
    };
    let error = match answered {
        Some(Ok(response)) => {
            return Ok(response.map(|body| match body {
                Body::Empty => Body::Empty,
                body => slot.timed(Body::layered(Download { body, flight: Some(flight) })),
            }));
        }
        Some(Err(fault)) => match terms.watch.fault() {
            Some(fault) => Error::RequestBody(fault),
            None => Error::Component { upstream: Arc::clone(&slot.upstream), fault },
        },
        None => slot.late(slot.limits.response_timeout.unwrap_or_default()),
    };
    Err(Failure { error, unsent: None })
}

/// A response's body, whose request is in flight until the end.
struct Download {
    body: Body,
    flight: Option<Flight>,
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Err(_))) => {
                if let Some(flight) = this.flight.take() {
                    flight.failed();
                }
            }
            Poll::Ready(None) => this.flight = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
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
