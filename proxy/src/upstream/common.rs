//! What all endpoints of an upstream share, in all workers.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::Error;
use super::adaptive::Limiter;
use super::breaker::{Breaker, Changed, State};
use super::budget::Budget;
use super::connect::Tls;
use super::connections::Connections;
use crate::chain::Service;
use crate::config::{self, Importance, Sending};
use crate::net::ClientTls;
use crate::telemetry::UpstreamMetrics;

/// What all endpoints of an upstream share, in all workers.
pub(super) struct Common {
    pub(super) upstream: Arc<str>,
    /// How requests are sent.
    pub(super) sending: Sending,
    /// How connections are secured.
    pub(super) tls: Option<Tls>,
    /// How many tries may be repeated.
    pub(super) budget: Budget,
    /// Whether anything is sent at all.
    pub(super) breaker: Option<Arc<Breaker>>,
    /// The limit on connections.
    pub(super) connections: Option<Connections>,
    /// What answers in the place of servers in the network.
    pub(super) service: Option<Arc<dyn Service>>,
    limiter: Option<Limiter>,
    /// Requests whose response has not ended; counted where there is a limit on them.
    requests: AtomicUsize,
}

/// A request under a limit; it counts until it is dropped.
pub(super) struct Ticket {
    common: Arc<Common>,
    begun: Instant,
}

/// Where events of an upstream are counted.
#[derive(Clone, Copy)]
pub struct Events<'a> {
    /// The worker that counts.
    pub worker: usize,
    /// Its counters; absent in tests of parts.
    pub metrics: Option<&'a UpstreamMetrics>,
}

impl Events<'_> {
    /// Counts an event.
    pub(super) fn count(&self, event: &'static str) {
        if let Some(metrics) = self.metrics {
            metrics.event(self.worker, event);
        }
    }
}

impl Common {
    pub(super) fn new(
        upstream: &str,
        config: &config::Upstream,
        tls: Option<ClientTls>,
        service: Option<Arc<dyn Service>>,
    ) -> Self {
        let sending = &config.sending;
        Self {
            upstream: upstream.into(),
            tls: tls.map(|tls| Arc::new(ArcSwap::from_pointee(tls))),
            budget: Budget::new(&sending.retry_budget),
            breaker: sending.breaker.as_ref().map(|config| Arc::new(Breaker::new(config))),
            connections: sending.limits.connections.map(|most| Connections::new(most, sending.limits.pending)),
            service,
            limiter: sending.adaptive.as_ref().map(Limiter::new),
            requests: AtomicUsize::new(0),
            sending: sending.clone(),
        }
    }

    /// Takes TLS whose files have changed.
    pub(super) fn renew(&self, tls: Option<ClientTls>) {
        if let (Some(running), Some(tls)) = (&self.tls, tls)
            && !running.load().same_files(&tls)
        {
            running.store(Arc::new(tls));
        }
    }

    /// Lets one more request in, where there are limits on them.
    pub(super) fn enter(
        self: &Arc<Self>,
        importance: Importance,
        events: Events<'_>,
        begun: Instant,
    ) -> Result<Option<Ticket>, Error> {
        let most = self.sending.limits.requests;
        if most.is_none() && self.limiter.is_none() {
            return Ok(None);
        }
        let before = self.requests.fetch_add(1, Relaxed);
        let ticket = Ticket { common: Arc::clone(self), begun };
        let limit = if most.is_some_and(|most| before >= most) {
            "requests"
        } else if self.limiter.as_ref().is_some_and(|limiter| !limiter.fits(before, importance)) {
            "adaptive-concurrency"
        } else {
            return Ok(Some(ticket));
        };
        events.count(if limit == "requests" { "over-requests" } else { "over-adaptive-concurrency" });
        Err(self.overloaded(limit))
    }

    /// The error of a request that is over a limit.
    pub(super) fn overloaded(&self, limit: &'static str) -> Error {
        Error::Overloaded { upstream: Arc::clone(&self.upstream), limit }
    }

    /// Requests under a limit, and what adaptive concurrency allows of them now.
    pub(super) fn load(&self) -> (Option<usize>, Option<u32>) {
        let counted = self.sending.limits.requests.is_some() || self.limiter.is_some();
        (counted.then(|| self.requests.load(Relaxed)), self.limiter.as_ref().map(Limiter::limit))
    }

    /// Tells everybody that a breaker has changed; `endpoint` where it is that of one.
    pub(super) fn changed(&self, changed: Option<Changed>, endpoint: Option<&str>, events: Events<'_>) {
        let Some(Changed { from, to }) = changed else { return };
        events.count(match (endpoint.is_some(), to) {
            (false, State::Open) => "breaker-open",
            (false, State::HalfOpen) => "breaker-half-open",
            (false, State::Closed) => "breaker-closed",
            (true, State::Open) => "endpoint-breaker-open",
            (true, State::HalfOpen) => "endpoint-breaker-half-open",
            (true, State::Closed) => "endpoint-breaker-closed",
        });
        let (upstream, endpoint) = (&*self.upstream, endpoint.unwrap_or("all"));
        match to {
            State::Open => tracing::warn!(upstream, endpoint, from = from.word(), "a circuit breaker opens"),
            State::HalfOpen => tracing::info!(upstream, endpoint, "a circuit breaker lets probes through"),
            State::Closed => tracing::info!(upstream, endpoint, "a circuit breaker closes"),
        }
    }
}

impl Ticket {
    /// The head of the response came.
    pub(super) fn answered(&self) {
        if let Some(limiter) = &self.common.limiter {
            let now = Instant::now();
            let micros = u64::try_from(now.duration_since(self.begun).as_micros()).unwrap_or(u64::MAX);
            limiter.answered(micros, self.common.requests.load(Relaxed), millis(now));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.common.requests.fetch_sub(1, Relaxed);
    }
}

/// A time, in milliseconds since some moment before. To read the clock costs more than what is done by it, so whoever does
/// several things at once reads it once.
pub(super) fn millis(now: Instant) -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    // From a time on at which all that ever happened is long ago.
    const BEFORE: Duration = Duration::from_secs(100_000);
    u64::try_from((now.saturating_duration_since(*START) + BEFORE).as_millis()).unwrap_or(u64::MAX)
}
