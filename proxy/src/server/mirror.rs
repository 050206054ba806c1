//! A copy of a request for another upstream. It never holds the request up: what is copied are references to what
//! passes by, and the copy is sent when the whole body has.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::Request;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::debug;

use crate::config::RouteSending;
use crate::http::{Body, BodyError};
use crate::route::chance::falls;
use crate::snapshot::{self, Upstream};
use crate::upstream::{Call, Events, Hint};

/// The most bytes of an answer that are read and thrown away; a longer one costs its connection.
const DISCARDED: usize = 1 << 20;

/// A copy on its way.
struct Copy {
    upstream: Upstream,
    subset: Arc<[(String, String)]>,
    worker: usize,
    timeout: Duration,
    head: Request<()>,
    _permit: OwnedSemaphorePermit,
}

/// Lets the mirror have a copy of the request, when its turn comes and there is room.
pub(super) fn mirror(mirror: &snapshot::Mirror, worker: usize, timeout: Duration, request: &mut Request<Body>) {
    let long = http_body::Body::size_hint(request.body()).lower() > mirror.body_size as u64;
    if !falls(mirror.share) || long {
        return;
    }
    let Ok(permit) = mirror.room.clone().try_acquire_owned() else {
        debug!(upstream = &*mirror.upstream.name, "no copy of the request: as many as may are on their way");
        return;
    };
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.headers_mut() = request.headers().clone();
    let (upstream, subset) = (mirror.upstream.clone(), mirror.subset.clone());
    let copy = Copy { upstream, subset, worker, timeout, head, _permit: permit };
    if matches!(request.body(), Body::Empty) {
        copy.send(Body::Empty);
        return;
    }
    let body = std::mem::take(request.body_mut());
    let tee = Tee { body, seen: Vec::new(), left: mirror.body_size, copy: Some(copy) };
    *request.body_mut() = Body::layered(tee);
}

impl Copy {
    fn send(self, body: Body) {
        // A request that is dropped because its runtime ends has nobody left to send the copy.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let (upstream, worker) = (self.upstream.clone(), self.worker);
            let begun = Instant::now();
            if timeout(self.timeout, self.deliver(body, begun)).await.is_err() {
                upstream.metrics.failure(worker, "timeout", begun.elapsed());
            }
        });
    }

    async fn deliver(self, body: Body, begun: Instant) {
        let (parts, ()) = self.head.into_parts();
        let request = Box::new(Request::from_parts(parts, body));
        let metrics = &self.upstream.metrics;
        let sending = RouteSending::default();
        let call = Call {
            begun,
            worker: self.worker,
            hint: Hint { subset: &self.subset, client: None, key: None },
            ends: None,
            deadline: begun + self.timeout,
            sending: &sending,
            retry: self.upstream.cluster.retry(&sending),
            events: Events { worker: self.worker, metrics: Some(metrics) },
        };
        match self.upstream.cluster.dispatch(call, request).await {
            Ok(sent) => {
                metrics.response(self.worker, sent.response.status().as_u16(), begun.elapsed());
                let mut body = sent.response.into_body();
                let mut left = DISCARDED;
                while let Some(Ok(frame)) = body.frame().await {
                    match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                        Some(rest) => left = rest,
                        None => return,
                    }
                }
            }
            Err(error) => {
                metrics.failure(self.worker, error.kind(), begun.elapsed());
                debug!(upstream = &*self.upstream.name, "the copy of a request got no answer: {error}");
            }
        }
    }
}

/// A body on its way to the upstream, and what the mirror has of it.
struct Tee {
    body: Body,
    seen: Vec<Bytes>,
    left: usize,
    copy: Option<Copy>,
}

impl Tee {
    fn see(&mut self, frame: &Frame<Bytes>) {
        let Some(data) = frame.data_ref().filter(|_| self.copy.is_some()) else { return };
        match self.left.checked_sub(data.len()) {
            Some(left) => {
                self.left = left;
                self.seen.push(data.clone());
            }
            // Too long: it goes on without a copy.
            None => (self.copy, self.seen) = (None, Vec::new()),
        }
    }

    fn end(&mut self) {
        if let Some(copy) = self.copy.take() {
            let mut whole = BytesMut::with_capacity(self.seen.iter().map(Bytes::len).sum());
            self.seen.drain(..).for_each(|bytes| whole.extend_from_slice(&bytes));
            copy.send(Body::full(whole));
        }
    }
}

impl http_body::Body for Tee {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.see(frame);
                if self.body.is_end_stream() {
                    self.end();
                }
            }
            Poll::Ready(None) => self.end(),
            Poll::Ready(Some(Err(_))) => self.copy = None,
            Poll::Pending => {}
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
