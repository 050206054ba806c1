//! Calls of gRPC on the request path: their deadline, and gofe's own answers in the form that they know.

use std::time::Duration;

use http::{Response, request, response};

use super::flight::Flight;
use crate::http::Body;
use crate::http::grpc::{Call, Deadline, Form, web};

/// The answer to a request that belongs to no route, in the form that the client knows.
pub(super) fn refusal(request: &request::Parts, response: Response<Body>) -> Response<Body> {
    let Some(call) = Call::of(request) else { return response };
    let (mut parts, body) = response.into_parts();
    let refused = call.refuse(&mut parts, bytes(&body));
    Response::from_parts(parts, if refused { Body::Empty } else { body })
}

/// A body that is at hand.
fn bytes(body: &Body) -> &[u8] {
    if let Body::Full(Some(bytes)) = body { bytes } else { &[] }
}

impl Flight {
    /// The request is a call: it gets the form that upstreams know, where the route translates it.
    pub(super) async fn called(&mut self, mut call: Call, body: Body) -> Body {
        call.translated = self.route().grpc_web && call.form != Form::Native;
        let body = match call.translated {
            true => web::request(call.form, &mut self.hand.lock().await.request.headers, body),
            false => body,
        };
        self.call = Some(Box::new(call));
        let timeout = self.timeout();
        self.hand.lock().await.timeout = timeout;
        body
    }

    /// How long the response's head may take: the route's time, or the client's where that is less.
    pub(super) fn timeout(&self) -> Duration {
        self.within_call(self.route().timeout)
    }

    /// This time, or the client's where that is less.
    pub(super) fn within_call(&self, timeout: Duration) -> Duration {
        self.call.as_ref().and_then(|call| call.timeout).map_or(timeout, |call| call.min(timeout))
    }

    /// gofe or a plugin gives the answer, and not the upstream.
    pub(super) fn answers(&mut self) {
        if let Some(call) = &mut self.call {
            call.own = true;
        }
    }

    /// Gives the answer to a call its last form.
    pub(super) fn answer_call(&mut self, parts: &mut response::Parts, body: Body) -> Body {
        let started = self.started();
        let Some(call) = &mut self.call else { return body };
        if call.own {
            let refused = call.refuse(parts, bytes(&body));
            call.note(&parts.headers);
            return if refused { Body::Empty } else { body };
        }
        call.note(&parts.headers);
        let body = match call.timeout {
            Some(timeout) if !matches!(body, Body::Empty) => {
                Body::layered(Deadline::new(body, (started + timeout).into()))
            }
            _ => body,
        };
        if call.translated { web::response(call.form, &mut parts.headers, body) } else { body }
    }
}
