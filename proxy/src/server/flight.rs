//! A request from its head to the last byte of its response: whatever happens to it, its end is counted, and the
//! plugins that asked for it learn of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tracing::debug;

use super::watch::Watch;
use super::worker::Worker;
use crate::chain::{Chain, Exchange, Hand, Phase};
use crate::http::grpc::Call;
use crate::http::upgrade::{Duplex, Wish};
use crate::http::{Body, BodyError};
use crate::snapshot::{self, Route, Step};

/// The word for a client that went away, which every request is suspected of until its end.
const CLIENT_GONE: &str = "client-gone";

/// A request on its way.
pub(super) struct Flight {
    pub(super) worker: Arc<Worker>,
    /// The configuration that the request runs on, to its end.
    pub(super) pin: snapshot::Pin,
    /// The route, as an index into the snapshot's.
    pub(super) route: usize,
    pub(super) hand: Hand,
    pub(super) watch: Arc<Watch>,
    /// What the client wants to speak in the place of HTTP, where its route allows that.
    pub(super) wish: Option<Box<Wish>>,
    /// The upstream's side of a tunnel, once the upstream has agreed.
    pub(super) switched: Option<Box<dyn Duplex>>,
    /// The call of gRPC that it is.
    pub(super) call: Option<Box<Call>>,
    started: Instant,
    /// The status of the response; 0 while there is none.
    pub(super) status: u16,
    response_bytes: u64,
    error: Option<&'static str>,
}

impl Flight {
    pub(super) fn new(
        worker: Arc<Worker>,
        pin: snapshot::Pin,
        route: usize,
        exchange: Exchange,
        watch: Arc<Watch>,
        started: Instant,
    ) -> Self {
        pin.routes[route].metrics.begin(worker.index);
        let hand = Hand::Own(exchange);
        Self {
            worker,
            pin,
            route,
            hand,
            watch,
            wish: None,
            switched: None,
            call: None,
            started,
            status: 0,
            response_bytes: 0,
            error: Some(CLIENT_GONE),
        }
    }

    pub(super) fn route(&self) -> &Route {
        &self.pin.routes[self.route]
    }

    /// A tunnel has ended: the bytes that the client got, and what was wrong.
    pub(super) fn tunnelled(&mut self, response_bytes: u64, error: Option<&'static str>) {
        (self.response_bytes, self.error) = (response_bytes, error);
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let over = Instant::now();
        let duration = over.duration_since(self.started);
        if self.error == Some(CLIENT_GONE) {
            self.watch.break_off();
        }
        self.watch.end(over);
        self.route().metrics.end(self.worker.index, self.status, duration);
        if let Some(call) = &self.call {
            self.worker.metrics.call(self.worker.index, call.status());
        }
        if !self.route().chain.takes(Phase::Complete) {
            return;
        }
        let last = Last { response_bytes: self.response_bytes, error: self.error, duration };
        let hand = std::mem::replace(&mut self.hand, Hand::empty());
        let (pin, route) = (self.pin.clone(), self.route);
        // A request that is dropped because its runtime ends has nobody left to run the task.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let mut ending = Box::pin(async move { last.complete(&pin.routes[route].chain, hand).await });
        // Most plugins do not wait here, so most requests need no task for their end.
        if ending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            // Counted here, as all workers share the count.
            let count = self.worker.shared.task();
            runtime.spawn(async move {
                ending.await;
                drop(count);
            });
        }
    }
}

/// What is known when a request is over.
struct Last {
    response_bytes: u64,
    error: Option<&'static str>,
    duration: Duration,
}

impl Last {
    async fn complete(self, chain: &Chain<Step>, mut hand: Hand) {
        let mut exchange = hand.lock().await;
        let summary = &mut exchange.summary;
        summary.duration = Some(self.duration);
        summary.response_bytes = self.response_bytes;
        summary.error = self.error.or(summary.error);
        chain.complete(&mut exchange).await;
    }
}

/// The response's body on its way to the client; with it the request ends.
pub(super) struct Ending {
    body: Body,
    flight: Flight,
}

impl Ending {
    pub(super) fn new(body: Body, flight: Flight) -> Self {
        let mut ending = Self { body, flight };
        if http_body::Body::is_end_stream(&ending.body) {
            ending.flight.error = None;
        }
        ending
    }

    /// The trailers of a call have its status.
    fn note(&mut self, trailers: Option<&HeaderMap>) {
        if let (Some(call), Some(trailers)) = (&mut self.flight.call, trailers) {
            call.note(trailers);
        }
    }
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                match frame.data_ref() {
                    Some(data) => this.flight.response_bytes += data.len() as u64,
                    None => this.note(frame.trailers_ref()),
                }
                if http_body::Body::is_end_stream(&this.body) {
                    this.flight.error = None;
                }
            }
            Poll::Ready(None) => this.flight.error = None,
            Poll::Ready(Some(Err(error))) => {
                let reason = if matches!(error, BodyError::Ended) { "plugin-error" } else { "upstream-broke-off" };
                this.flight.error = Some(reason);
                this.flight.worker.metrics.error(this.flight.worker.index, reason);
                debug!(route = &*this.flight.route().name, reason, "the response broke off: {error}");
            }
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
