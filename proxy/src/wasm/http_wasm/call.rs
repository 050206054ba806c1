//! What a guest reads and writes of one request and its response, until its call is over.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;

use crate::chain::{Reply, State};
use crate::http::{Body, BodyError, Joined};

/// `enable_features`: what the guest reads of a request's body stays in it.
pub(super) const BUFFER_REQUEST: u32 = 1;
/// `enable_features`: the response waits, and can be changed.
pub(super) const BUFFER_RESPONSE: u32 = 2;
/// `enable_features`: trailers.
pub(super) const TRAILERS: u32 = 4;

/// The most response headers for which room is kept from one request to the next.
const MOST_KEPT: usize = 64;

/// Request or response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// One request in a guest's hands.
#[derive(Default)]
pub(super) struct Call {
    /// Features in effect.
    pub(super) features: u32,
    /// The next handler has answered.
    pub(super) after_next: bool,
    /// The status that the guest gave before the next handler.
    pub(super) status: Option<StatusCode>,
    /// Response headers that it wrote before the next handler.
    pub(super) headers: HeaderMap,
    /// Those of them that shall stand in the place of the next handler's.
    pub(super) set: Vec<HeaderName>,
    /// What it does to bodies and trailers, once it does anything: most guests do nothing.
    request: Option<Box<Message>>,
    response: Option<Box<Message>>,
    /// Why the call was cut off, where that is no fault of the guest.
    pub(super) stop: Option<Stop>,
}

/// Why a call was cut off.
pub(super) enum Stop {
    /// The body that the guest read broke off.
    Broken(BodyError),
    /// More of a body than may be held back.
    TooLarge,
}

/// A body that a guest reads and writes.
#[derive(Default)]
pub(super) struct Message {
    /// What was read and stays in the body.
    kept: BytesMut,
    /// What has come and was not read yet.
    pub(super) rest: Bytes,
    /// Nothing more comes.
    pub(super) ended: bool,
    /// Something was read.
    touched: bool,
    /// What the guest wrote in the body's place.
    pub(super) written: Option<BytesMut>,
    /// The trailers: those that came, changed by the guest.
    pub(super) trailers: HeaderMap,
    /// The guest changed them.
    pub(super) trailers_changed: bool,
}

impl Call {
    /// Another request begins.
    pub(super) fn begin(&mut self, features: u32) {
        (self.features, self.after_next, self.status) = (features, false, None);
        (self.request, self.response, self.stop) = (None, None, None);
        // Their memory serves again, unless there was much.
        if self.headers.capacity() > MOST_KEPT {
            self.headers = HeaderMap::new();
        } else if !self.headers.is_empty() {
            self.headers.clear();
        }
        self.set.clear();
    }

    pub(super) fn has(&self, feature: u32) -> bool {
        self.features & feature != 0
    }

    pub(super) fn message(&mut self, side: Side) -> &mut Message {
        match side {
            Side::Request => self.request.get_or_insert_default(),
            Side::Response => self.response.get_or_insert_default(),
        }
    }

    /// The trailers of a message, where anything was done to them.
    pub(super) fn trailers(&self, side: Side) -> Option<&HeaderMap> {
        let message = match side {
            Side::Request => &self.request,
            Side::Response => &self.response,
        };
        message.as_deref().map(|message| &message.trailers)
    }

    /// The guest's own answer.
    pub(super) fn reply(&mut self) -> Reply {
        let Message { written, trailers, .. } = *self.response.take().unwrap_or_default();
        let body = written.unwrap_or_default().freeze();
        let mut headers = std::mem::take(&mut self.headers);
        announce(&mut headers, &trailers);
        let body = if trailers.is_empty() { Body::full(body) } else { Joined::body(body, Body::Empty, trailers) };
        Reply { status: self.status.unwrap_or(StatusCode::OK), headers, body }
    }

    /// The request goes on as the guest leaves it.
    pub(super) fn finish_request(&mut self, state: &mut State) {
        let keeps = self.has(BUFFER_REQUEST);
        if let Some(message) = self.request.take() {
            message.finish(&mut state.message, &mut state.request.headers, keeps);
        }
    }

    /// What the guest wrote before the next handler answered, and the next handler's answer become one.
    pub(super) fn merge(&mut self, state: &mut State) {
        let Some(response) = state.response.as_mut() else { return };
        // With a response that waits, the next handler's status is what the guest finds.
        if let Some(status) = self.status.take().filter(|_| self.features & BUFFER_RESPONSE == 0) {
            response.status = status;
        }
        if !self.headers.is_empty() || !self.set.is_empty() {
            merge(&mut response.headers, &mut self.headers, &mut self.set);
        }
        let Some(before) = self.response.take() else { return };
        let bodiless = state.request.method == Method::HEAD
            || matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let prefix = before.written.unwrap_or_default().freeze();
        if bodiless || (prefix.is_empty() && before.trailers.is_empty()) {
            return;
        }
        announce(&mut response.headers, &before.trailers);
        let length = response.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        match length {
            Some(length) if before.trailers.is_empty() => {
                response.headers.insert(CONTENT_LENGTH, HeaderValue::from(length + prefix.len() as u64));
            }
            _ => drop(response.headers.remove(CONTENT_LENGTH)),
        }
        state.message = Joined::body(prefix, std::mem::take(&mut state.message), before.trailers);
    }

    /// The response goes on as the guest leaves it.
    pub(super) fn finish_response(&mut self, state: &mut State) {
        if let (Some(message), Some(response)) = (self.response.take(), state.response.as_mut()) {
            message.finish(&mut state.message, &mut response.headers, true);
        }
    }
}

impl Message {
    /// Waits for more of the body. `false` where it broke off.
    pub(super) async fn pull(&mut self, body: &mut Body) -> Result<(), BodyError> {
        self.touched = true;
        match body.frame().await.transpose()?.map(http_body::Frame::into_data) {
            None => self.ended = true,
            Some(Ok(data)) => self.rest = data,
            Some(Err(frame)) => {
                self.trailers = frame.into_trailers().unwrap_or_default();
                self.ended = true;
            }
        }
        Ok(())
    }

    /// The guest reads at most so many bytes of what has come; where they stay in the body, at most `limit` do in all.
    pub(super) fn take(&mut self, most: usize, keep: bool, limit: u64) -> Option<Bytes> {
        let chunk = self.rest.split_to(most.min(self.rest.len()));
        if keep {
            if (self.kept.len() + chunk.len()) as u64 > limit {
                return None;
            }
            self.kept.extend_from_slice(&chunk);
        }
        Some(chunk)
    }

    /// Puts what was written, or what was read and what follows, in the body's place.
    fn finish(self, body: &mut Body, headers: &mut HeaderMap, keeps: bool) {
        let trailers = if self.trailers_changed || self.ended { self.trailers } else { HeaderMap::new() };
        announce(headers, &trailers);
        if let Some(written) = self.written {
            let written = written.freeze();
            headers.remove(CONTENT_LENGTH);
            if trailers.is_empty() {
                if !written.is_empty() {
                    headers.insert(CONTENT_LENGTH, HeaderValue::from(written.len()));
                }
                *body = Body::full(written);
            } else {
                *body = Joined::body(written, Body::Empty, trailers);
            }
            return;
        }
        if !self.touched && !self.trailers_changed {
            return;
        }
        let mut prefix = self.kept;
        if !keeps {
            // What was read is gone.
            headers.remove(CONTENT_LENGTH);
            prefix.clear();
        }
        prefix.extend_from_slice(&self.rest);
        let rest = if self.ended { Body::Empty } else { std::mem::take(body) };
        if !trailers.is_empty() {
            headers.remove(CONTENT_LENGTH);
        }
        *body = match self.ended && trailers.is_empty() {
            true => Body::full(prefix.freeze()),
            false => Joined::body(prefix.freeze(), rest, trailers),
        };
    }
}

/// Puts fields into a response: those whose names are `set` in the place of what is there, the others beside it.
fn merge(into: &mut HeaderMap, fields: &mut HeaderMap, set: &mut Vec<HeaderName>) {
    let mut fields = fields.drain().peekable();
    let mut current = None;
    while let Some((first, value)) = fields.next() {
        let replaces = match &first {
            // Of several values of a name, the first comes with it.
            Some(name) => set.iter().position(|known| known == name).map(|at| set.swap_remove(at)).is_some(),
            None => false,
        };
        current = first.or(current);
        let last = !matches!(fields.peek(), Some((None, _)));
        let name = if last { current.take() } else { current.clone() };
        match name {
            Some(name) if replaces => drop(into.insert(name, value)),
            Some(name) => drop(into.append(name, value)),
            None => {}
        }
    }
    // Those of which nothing is left.
    for name in set.drain(..) {
        into.remove(name);
    }
}

/// Trailers are announced (RFC 9110, section 6.6.2): over HTTP/1.1 others are not sent. A guest may have thousands of them.
fn announce(headers: &mut HeaderMap, trailers: &HeaderMap) {
    if trailers.is_empty() {
        return;
    }
    let values = headers.get_all(TRAILER).iter().filter_map(|value| value.to_str().ok());
    let announced: HashSet<HeaderName> = values.flat_map(|value| value.split(',')).filter_map(named).collect();
    for name in trailers.keys().filter(|name| !announced.contains(*name)) {
        headers.append(TRAILER, HeaderValue::from(name.clone()));
    }
}

fn named(name: &str) -> Option<HeaderName> {
    name.trim().parse().ok()
}
