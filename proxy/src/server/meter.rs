//! A request's body under its limits: so many bytes, never still for too long, and never too slow.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::watch::Upload;
use crate::config::Config;
use crate::http::{Body, BodyError};

/// How fast a body must come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// No byte for so long ends it.
    idle: Duration,
    /// Bytes a second, 0 for none.
    rate: u64,
    /// How long the client may take before the rate counts.
    grace: Duration,
}

impl Pace {
    /// What is asked of the body of a request with these fields. A stream of gRPC lasts as long as its client wants, and
    /// is still most of the time.
    pub(super) fn new(config: &Config, headers: &HeaderMap) -> Self {
        let streams = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let rate = if streams { 0 } else { config.limits.body_rate };
        Self { idle: config.timeouts.idle, rate, grace: config.timeouts.body_grace }
    }

    /// How long a client that has made gofe wait for `waited` and sent `bytes` in it may go on until it is too slow.
    fn left(&self, waited: Duration, bytes: u64) -> Option<Duration> {
        // In milliseconds, for which any length of a body is a small number.
        let earned = Duration::from_millis(bytes.saturating_mul(1000).checked_div(self.rate)?);
        Some((self.grace + earned).saturating_sub(waited))
    }
}

/// A metered body.
pub(super) struct Meter {
    body: Body,
    limit: u64,
    pace: Pace,
    /// The bytes so far, which the request's summary reads.
    bytes: Arc<AtomicU64>,
    /// Keeps the connection from rest until the body has ended.
    _upload: Upload,
    /// How long gofe has waited for the client, and not the client for gofe.
    waited: Duration,
    /// Runs while the client owes bytes.
    wait: Option<Wait>,
}

/// A wait for the client.
struct Wait {
    since: Instant,
    timer: Pin<Box<Sleep>>,
    /// What ends it.
    slow: bool,
}

impl Meter {
    pub(super) fn new(body: Body, limit: u64, pace: Pace, bytes: Arc<AtomicU64>, upload: Upload) -> Self {
        Self { body, limit, pace, bytes, _upload: upload, waited: Duration::ZERO, wait: None }
    }

    fn count(&self, frame: &Frame<Bytes>) -> Result<(), BodyError> {
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        let total = self.bytes.fetch_add(length, Ordering::Relaxed) + length;
        if total > self.limit { Err(BodyError::TooLarge(self.limit)) } else { Ok(()) }
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let (pace, waited, bytes) = (self.pace, self.waited, &self.bytes);
        let wait = self.wait.get_or_insert_with(|| {
            let since = Instant::now();
            let left = pace.left(waited, bytes.load(Ordering::Relaxed)).filter(|left| *left < pace.idle);
            let end = since + left.unwrap_or(pace.idle);
            Wait { since, timer: Box::pin(tokio::time::sleep_until(end)), slow: left.is_some() }
        });
        let error = if wait.slow { BodyError::Slow(pace.rate) } else { BodyError::Idle(pace.idle) };
        wait.timer.as_mut().poll(cx).map(|()| error)
    }
}

impl http_body::Body for Meter {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(wait) = this.wait.take() {
                    this.waited += wait.since.elapsed();
                }
                Poll::Ready(Some(this.count(&frame).map(|()| frame)))
            }
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending => this.poll_wait(cx).map(|error| Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_earns_time_by_its_bytes() {
        let seconds = Duration::from_secs;
        let pace = Pace { idle: seconds(60), rate: 100, grace: seconds(10) };
        assert_eq!(pace.left(Duration::ZERO, 0), Some(seconds(10)));
        assert_eq!(pace.left(seconds(8), 100), Some(seconds(3)));
        assert_eq!(pace.left(seconds(30), 1000), Some(Duration::ZERO));
        assert_eq!(pace.left(seconds(30), u64::MAX).map(|left| left > seconds(60)), Some(true));
        assert_eq!(Pace { rate: 0, ..pace }.left(seconds(30), 0), None);
    }
}
