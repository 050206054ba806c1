//! A request that can be sent again: its head, and its body as long as that is not too long.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;

use super::message;
use crate::http::{Body, BodyError};

/// A request that can be sent again.
pub(super) struct Replay {
    head: Box<Request<Body>>,
    body: Kept,
}

enum Kept {
    Empty,
    Full(Bytes),
    Stream(Arc<Mutex<Source>>),
    /// Too long: it can be sent once.
    Once(Option<Body>),
}

/// A body from a client, of which all that came is kept for another try.
struct Source {
    body: Body,
    size: SizeHint,
    most: usize,
    kept: usize,
    frames: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// What came was more than is kept: only the try that has seen all of it can go on.
    over: bool,
}

impl Replay {
    /// Keeps a request, with at most so many bytes of its body.
    pub(super) fn new(mut request: Box<Request<Body>>, most: usize) -> Self {
        let body = std::mem::replace(request.body_mut(), Body::Empty);
        let body = match body {
            Body::Empty => Kept::Empty,
            Body::Full(bytes) => bytes.map_or(Kept::Empty, Kept::Full),
            body if body.size_hint().lower() > most as u64 => Kept::Once(Some(body)),
            body => Kept::Stream(Arc::new(Mutex::new(Source {
                size: body.size_hint(),
                body,
                most,
                kept: 0,
                frames: Vec::new(),
                trailers: None,
                ended: false,
                over: false,
            }))),
        };
        Self { head: request, body }
    }

    /// The head of the request.
    pub(super) fn head(&self) -> &Request<Body> {
        &self.head
    }

    /// The request for the next try; none where it cannot be sent again.
    pub(super) fn next(&mut self) -> Option<Box<Request<Body>>> {
        let body = match &mut self.body {
            Kept::Empty => Body::Empty,
            Kept::Full(bytes) => Body::full(bytes.clone()),
            Kept::Once(body) => body.take()?,
            Kept::Stream(source) if source.lock().over => return None,
            Kept::Stream(source) => {
                let size = source.lock().size;
                Body::layered(Cursor { source: Arc::clone(source), at: 0, size, trailed: false })
            }
        };
        let mut request = message::copy(&self.head);
        *request.body_mut() = body;
        Some(request)
    }

    /// Whether it can be sent again.
    pub(super) fn can_again(&self) -> bool {
        match &self.body {
            Kept::Empty | Kept::Full(_) => true,
            Kept::Once(body) => body.is_some(),
            Kept::Stream(source) => !source.lock().over,
        }
    }

    /// Whether it can be sent a second time while the first is on its way: only what is here as a whole.
    pub(super) fn can_beside(&self) -> bool {
        match &self.body {
            Kept::Empty | Kept::Full(_) => true,
            Kept::Once(_) => false,
            Kept::Stream(source) => {
                let source = source.lock();
                source.ended && !source.over
            }
        }
    }
}

/// The body of one try.
struct Cursor {
    source: Arc<Mutex<Source>>,
    at: usize,
    size: SizeHint,
    trailed: bool,
}

impl http_body::Body for Cursor {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let mut source = this.source.lock();
        if let Some(frame) = source.frames.get(this.at) {
            this.at += 1;
            return Poll::Ready(Some(Ok(Frame::data(frame.clone()))));
        }
        if source.ended {
            let trailers = source.trailers.clone().filter(|_| !std::mem::replace(&mut this.trailed, true));
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let Poll::Ready(frame) = Pin::new(&mut source.body).poll_frame(cx) else { return Poll::Pending };
        match &frame {
            None => source.ended = true,
            Some(Err(_)) => source.over = true,
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.at += source.keep(data);
                } else {
                    source.trailers = frame.trailers_ref().cloned();
                    (source.ended, this.trailed) = (true, true);
                }
                source.ended |= source.body.is_end_stream();
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let source = self.source.lock();
        source.ended && self.at >= source.frames.len() && (self.trailed || source.trailers.is_none())
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}

impl Source {
    /// Keeps a chunk for another try; how many chunks there are more.
    fn keep(&mut self, data: &Bytes) -> usize {
        self.kept += data.len();
        if self.kept > self.most {
            self.over = true;
            self.frames = Vec::new();
        }
        if self.over {
            return 0;
        }
        self.frames.push(data.clone());
        1
    }
}
