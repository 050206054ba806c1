//! What a connection is doing, so that one timer can tell whether it has been doing it for too long.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::admit::LastHost;
use super::tunnel::Tunnel;

/// Shared by a connection's socket, its requests, and the loop that drives it; all run on one worker.
pub(super) struct Watch {
    /// Requests in progress.
    requests: AtomicU32,
    /// Requests that are over, and those of them that the client broke off.
    ended: AtomicU32,
    broken_off: AtomicU32,
    /// Bodies of requests that have not ended, which one may do after its response.
    uploads: AtomicU32,
    /// Bytes of a request's head have come, the rest has not.
    reading: AtomicBool,
    /// When the present state began, in nanoseconds of the process's clock.
    since: AtomicU64,
    /// When the client stopped to take what is written to it; 0 while it takes.
    blocked: AtomicU64,
    /// The host that was asked for last.
    pub(super) host: LastHost,
    /// What the connection becomes when HTTP/1 has ended on it.
    tunnel: Mutex<Option<Box<Tunnel>>>,
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
    /// For the client to let its requests come to their ends.
    Resets,
    /// For nothing: what a request needs may go until the next one begins.
    Rest,
}

/// How long a connection may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the rest of a request's head.
    pub(super) head: Duration,
    /// For a request, or for the client to take what is written.
    pub(super) idle: Duration,
    /// Before it rests, where it can.
    pub(super) rest: Option<Duration>,
    /// How many requests the client may break off, where these are most of all.
    pub(super) resets: Option<u32>,
}

impl Patience {
    /// The first moment at which a wait could end.
    pub(super) fn shortest(&self) -> Duration {
        self.longest().min(self.rest.unwrap_or(Duration::MAX))
    }

    /// A connection that is looked at this often never waits longer than it may.
    pub(super) fn longest(&self) -> Duration {
        self.head.min(self.idle)
    }
}

fn now() -> u64 {
    stamp(Instant::now())
}

fn stamp(at: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    // Never 0, which stands for "not".
    at.saturating_duration_since(*START.get_or_init(|| at)).as_nanos() as u64 + 1
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            requests: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            broken_off: AtomicU32::new(0),
            uploads: AtomicU32::new(0),
            reading: AtomicBool::new(false),
            since: AtomicU64::new(now()),
            blocked: AtomicU64::new(0),
            host: LastHost::default(),
            tunnel: Mutex::new(None),
        }
    }

    /// The connection becomes a tunnel as soon as the response is written.
    pub(super) fn switch(&self, tunnel: Tunnel) {
        *self.tunnel.lock() = Some(Box::new(tunnel));
    }

    /// What the connection becomes, if anything.
    pub(super) fn switched(&self) -> Option<Box<Tunnel>> {
        self.tunnel.lock().take()
    }

    /// Bytes came from the client.
    pub(super) fn read(&self) {
        if self.requests.load(Ordering::Relaxed) != 0 || self.reading.load(Ordering::Relaxed) {
            return;
        }
        // Bytes of a body that outlives its response are no head.
        self.reading.store(self.uploads.load(Ordering::Relaxed) == 0, Ordering::Relaxed);
        self.since.store(now(), Ordering::Relaxed);
    }

    /// A request has begun.
    pub(super) fn begin(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.reading.store(false, Ordering::Relaxed);
    }

    /// The client broke a request off, whose end is still to be told.
    pub(super) fn break_off(&self) {
        self.broken_off.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the client has broken off more requests than these, and more than half of all.
    pub(super) fn breaks_off(&self, most: u32) -> bool {
        let broken_off = self.broken_off.load(Ordering::Relaxed);
        broken_off > most && u64::from(broken_off) * 2 > u64::from(self.ended.load(Ordering::Relaxed))
    }

    /// A request is over.
    pub(super) fn end(&self, at: Instant) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        if self.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.since.store(stamp(at), Ordering::Relaxed);
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

    /// The body of a request is on its way until this is dropped.
    pub(super) fn upload(self: &Arc<Self>) -> Upload {
        self.uploads.fetch_add(1, Ordering::Relaxed);
        Upload(self.clone())
    }

    /// For how long nothing has changed.
    pub(super) fn age(&self) -> Duration {
        age(self.since.load(Ordering::Relaxed))
    }

    /// How long the connection may go on with what it does now, and what that is.
    pub(super) fn left(&self, patience: &Patience) -> Option<(Duration, Waiting)> {
        let blocked = self.blocked.load(Ordering::Relaxed);
        let since = self.since.load(Ordering::Relaxed);
        let (since, most, waiting) = if blocked != 0 {
            (blocked, patience.idle, Waiting::Write)
        } else if self.requests.load(Ordering::Relaxed) > 0 {
            return None;
        } else if self.reading.load(Ordering::Relaxed) {
            (since, patience.head, Waiting::Head)
        } else {
            // hyper still reads a body that outlives its response.
            let rest = patience.rest.filter(|rest| *rest < patience.idle && self.uploads.load(Ordering::Relaxed) == 0);
            rest.map_or((since, patience.idle, Waiting::Idle), |rest| (since, rest, Waiting::Rest))
        };
        Some((most.saturating_sub(age(since)), waiting))
    }
}

fn age(since: u64) -> Duration {
    Duration::from_nanos(now().saturating_sub(since))
}

/// A request's body on its way.
pub(super) struct Upload(Arc<Watch>);

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.uploads.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rests at once, and otherwise has all the time.
    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(3_600),
        idle: Duration::from_secs(3_600),
        rest: Some(Duration::ZERO),
        resets: None,
    };

    fn waiting(watch: &Watch) -> Option<Waiting> {
        watch.left(&PATIENCE).map(|(_, waiting)| waiting)
    }

    #[test]
    fn a_connection_rests_between_requests_only() {
        let watch = Watch::new();
        assert_eq!(watch.left(&PATIENCE), Some((Duration::ZERO, Waiting::Rest)));
        watch.read();
        assert_eq!(waiting(&watch), Some(Waiting::Head));
        watch.begin();
        assert_eq!(waiting(&watch), None);
        watch.end(Instant::now());
        assert_eq!(waiting(&watch), Some(Waiting::Rest));
    }

    #[test]
    fn a_body_that_outlives_its_response_keeps_the_connection_awake() {
        let watch = Arc::new(Watch::new());
        watch.begin();
        let upload = watch.upload();
        watch.end(Instant::now());
        assert_eq!(waiting(&watch), Some(Waiting::Idle));
        watch.read();
        assert_eq!(waiting(&watch), Some(Waiting::Idle), "its bytes are no head");
        drop(upload);
        assert_eq!(waiting(&watch), Some(Waiting::Rest));
    }

    #[test]
    fn a_client_that_breaks_off_most_of_its_requests_is_found() {
        let watch = Watch::new();
        let end = |broken_off: bool| {
            watch.begin();
            if broken_off {
                watch.break_off();
            }
            watch.end(Instant::now());
        };
        (0..20).for_each(|_| end(false));
        (0..20).for_each(|_| end(true));
        assert!(!watch.breaks_off(10), "half of all");
        end(true);
        assert!(watch.breaks_off(10) && !watch.breaks_off(21));
    }

    #[test]
    fn a_client_that_does_not_take_its_response_is_not_at_rest() {
        let watch = Watch::new();
        watch.written(false);
        assert_eq!(waiting(&watch), Some(Waiting::Write));
        watch.written(true);
        assert_eq!(waiting(&watch), Some(Waiting::Rest));
    }
}
