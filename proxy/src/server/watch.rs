//! What a connection is doing, so that one timer can tell whether it has been doing it for too long.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared by a connection's socket, its requests, and the loop that drives it; all run on one worker.
#[derive(Debug)]
pub(super) struct Watch {
    /// Requests in progress.
    requests: AtomicU32,
    /// Bytes of a request's head have come, the rest has not.
    reading: AtomicBool,
    /// When the present state began, in nanoseconds of the process's clock.
    since: AtomicU64,
    /// When the client stopped to take what is written to it; 0 while it takes.
    blocked: AtomicU64,
}

/// What a connection waits for, when that took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// For a request to begin.
    Idle,
    /// For the rest of a request's head.
    Head,
    /// For the client to take what is written.
    Write,
}

fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    // Never 0, which stands for "not".
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            requests: AtomicU32::new(0),
            reading: AtomicBool::new(false),
            since: AtomicU64::new(now()),
            blocked: AtomicU64::new(0),
        }
    }

    /// Bytes came from the client.
    pub(super) fn read(&self) {
        if self.requests.load(Ordering::Relaxed) == 0 && !self.reading.load(Ordering::Relaxed) {
            self.reading.store(true, Ordering::Relaxed);
            self.since.store(now(), Ordering::Relaxed);
        }
    }

    /// A request has begun.
    pub(super) fn begin(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.reading.store(false, Ordering::Relaxed);
    }

    /// A request is over.
    pub(super) fn end(&self) {
        if self.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.since.store(now(), Ordering::Relaxed);
        }
    }

    /// The client takes what is written to it, or does not.
    pub(super) fn written(&self, taken: bool) {
        let blocked = self.blocked.load(Ordering::Relaxed);
        if taken && blocked != 0 {
            self.blocked.store(0, Ordering::Relaxed);
        } else if !taken && blocked == 0 {
            self.blocked.store(now(), Ordering::Relaxed);
        }
    }

    /// How long the connection may go on with what it does now, and what that is.
    pub(super) fn left(&self, head: Duration, idle: Duration) -> Option<(Duration, Waiting)> {
        let blocked = self.blocked.load(Ordering::Relaxed);
        let since = self.since.load(Ordering::Relaxed);
        let (since, most, waiting) = if blocked != 0 {
            (blocked, idle, Waiting::Write)
        } else if self.requests.load(Ordering::Relaxed) > 0 {
            return None;
        } else if self.reading.load(Ordering::Relaxed) {
            (since, head, Waiting::Head)
        } else {
            (since, idle, Waiting::Idle)
        };
        Some((most.saturating_sub(Duration::from_nanos(now().saturating_sub(since))), waiting))
    }
}
