//! One endpoint as all workers know it, and its place in an upstream.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use http::uri::Authority;
use parking_lot::Mutex;

use super::breaker::Breaker;
use super::outlier::Streak;
use crate::config;

/// One endpoint, for as long as the upstream has it. What changes in it is rare: a state, or a row of failures.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Tells endpoints apart, also those of one address that come one after the other. Never 0.
    pub(super) id: u64,
    /// Host and port.
    pub(super) authority: Authority,
    /// The path of its Unix socket, where it has one.
    pub(super) socket: Option<PathBuf>,
    /// Host and port, or the socket, in text.
    pub(super) address: Arc<str>,
    /// Whether anything is sent to it.
    pub(super) breaker: Option<Arc<Breaker>>,
    /// Failures in a row.
    pub(super) streak: Streak,
    state: AtomicU8,
    /// When it began to serve, or was well again; absent for those that were there from the start.
    well_since: Mutex<Option<Instant>>,
    /// What the last health check found wrong.
    complaint: Mutex<Option<String>>,
}

/// Why an endpoint is not to be chosen; several may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Reason {
    /// Its health checks fail, or have not succeeded yet.
    Unhealthy = 1,
    /// It is ejected for how it answers.
    Ejected = 2,
}

impl Endpoint {
    /// An endpoint that the upstream did not have before.
    pub(super) fn new(
        found: &config::Endpoint,
        sending: &config::Sending,
        since: Option<Instant>,
        unhealthy: bool,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Relaxed),
            authority: found.authority.clone(),
            socket: found.socket.clone(),
            address: found.address().into(),
            breaker: sending.endpoint_breaker.as_ref().map(|config| Arc::new(Breaker::new(config))),
            streak: Streak::default(),
            state: AtomicU8::new(if unhealthy { Reason::Unhealthy as u8 } else { 0 }),
            well_since: Mutex::new(since),
            complaint: Mutex::default(),
        }
    }

    /// Whether it may be chosen.
    pub(super) fn is_available(&self) -> bool {
        self.state.load(Relaxed) == 0
    }

    /// Whether this keeps it from being chosen.
    pub(super) fn is(&self, reason: Reason) -> bool {
        self.state.load(Relaxed) & reason as u8 != 0
    }

    /// Sets or takes back a reason; true where that changes whether it may be chosen.
    pub(super) fn set(&self, reason: Reason, on: bool, now: Instant) -> bool {
        let bit = reason as u8;
        let before = if on { self.state.fetch_or(bit, Relaxed) } else { self.state.fetch_and(!bit, Relaxed) };
        let after = if on { before | bit } else { before & !bit };
        if before != 0 && after == 0 {
            *self.well_since.lock() = Some(now);
        }
        (before == 0) != (after == 0)
    }

    /// When it began to serve or was well again, where it was not there from the start.
    pub(super) fn well_since(&self) -> Option<Instant> {
        *self.well_since.lock()
    }

    /// What the last health check found wrong.
    pub(super) fn complaint(&self) -> Option<String> {
        self.complaint.lock().clone()
    }

    /// What a health check found.
    pub(super) fn complain(&self, complaint: Option<String>) {
        *self.complaint.lock() = complaint;
    }
}

/// An endpoint's place in an upstream. A discovery that finds other labels gives the endpoint another place; the
/// endpoint and its connections stay.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) endpoint: Arc<Endpoint>,
    /// What is configured or was found out about it.
    pub(super) found: config::Endpoint,
}

impl Member {
    /// Whether it has all these labels.
    pub(super) fn has_all(&self, subset: &[(String, String)]) -> bool {
        subset.iter().all(|(name, value)| self.found.labels.get(name).is_some_and(|label| label == value))
    }
}
