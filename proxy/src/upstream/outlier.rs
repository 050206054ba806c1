//! Outlier detection: endpoints that answer worse than the others are ejected for a time (Envoy's terms).
//!
//! Workers count; each counts what it sees in memory of its own. Failures in a row are counted together, since a row
//! that is spread over workers would else be seen late: what all workers write is touched only by failures, and by
//! the first success after one.

mod detector;
mod statistics;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tracing::{info, warn};

use super::endpoint::Reason;
use super::members::Members;
use super::outcome::{End, Outcome};
use crate::config::Outliers;
pub(super) use detector::{Cause, Detector, Event};

/// Failures in a row, as all workers see them.
#[derive(Debug, Default)]
pub(super) struct Streak {
    errors: AtomicU32,
    gateway: AtomicU32,
}

/// What one worker counts of an endpoint.
pub(super) struct Tally {
    limits: Limits,
    alarm: Arc<Notify>,
    requests: AtomicU64,
    successes: AtomicU64,
    nanos: AtomicU64,
}

/// How long a row may become.
#[derive(Clone, Copy)]
struct Limits {
    errors: u32,
    gateway: u32,
}

/// Counts of an endpoint since it is there.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) successes: u64,
    /// The latencies of all requests, added up.
    pub(super) latency: Duration,
}

impl Streak {
    /// Why these failures eject the endpoint, where they do. The row ends with that.
    pub(super) fn over(&self, config: &Outliers) -> Option<Cause> {
        let is_over = |row: &AtomicU32, limit: u32| limit > 0 && row.load(Relaxed) >= limit;
        let cause = if is_over(&self.errors, config.consecutive_5xx) {
            Cause::Consecutive5xx
        } else if is_over(&self.gateway, config.consecutive_gateway) {
            Cause::ConsecutiveGateway
        } else {
            return None;
        };
        self.end();
        Some(cause)
    }

    fn end(&self) {
        for row in [&self.errors, &self.gateway] {
            // A row that is 0 is only read, so that workers share its cache line in peace.
            if row.load(Relaxed) != 0 {
                row.store(0, Relaxed);
            }
        }
    }
}

impl Tally {
    /// Rings `alarm` when a row has become as long as it may be.
    pub(super) fn new(config: &Outliers, alarm: Arc<Notify>) -> Self {
        Self {
            alarm,
            limits: Limits { errors: config.consecutive_5xx, gateway: config.consecutive_gateway },
            requests: AtomicU64::new(0),
            successes: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
        }
    }

    /// Counts a try.
    pub(super) fn hear(&self, outcome: &Outcome, streak: &Streak) {
        if self.count(outcome, streak) {
            self.alarm.notify_one();
        }
    }

    /// Counts a try; true where a row of failures has become as long as it may be.
    fn count(&self, outcome: &Outcome, streak: &Streak) -> bool {
        let gateway = match outcome.end {
            End::Nothing => return false,
            End::Response(status) if status.is_server_error() => matches!(status.as_u16(), 502..=504),
            End::Response(_) => {
                self.successes.fetch_add(1, Relaxed);
                self.add(outcome.latency);
                streak.end();
                return false;
            }
            End::NoConnection | End::Timeout | End::Broken => true,
        };
        self.add(outcome.latency);
        let errors = streak.errors.fetch_add(1, Relaxed) + 1;
        let row = if gateway { streak.gateway.fetch_add(1, Relaxed) + 1 } else { 0 };
        if !gateway && streak.gateway.load(Relaxed) != 0 {
            streak.gateway.store(0, Relaxed);
        }
        errors == self.limits.errors || (row > 0 && row == self.limits.gateway)
    }

    fn add(&self, latency: Duration) {
        self.requests.fetch_add(1, Relaxed);
        self.nanos.fetch_add(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// What was counted.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            requests: self.requests.load(Relaxed),
            successes: self.successes.load(Relaxed),
            latency: Duration::from_nanos(self.nanos.load(Relaxed)),
        }
    }
}

impl Totals {
    /// Those of all workers.
    pub(super) fn sum(all: impl Iterator<Item = Self>) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            requests: sum.requests + one.requests,
            successes: sum.successes + one.successes,
            latency: sum.latency.saturating_add(one.latency),
        })
    }

    /// What came since.
    fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(before.requests),
            successes: self.successes.saturating_sub(before.successes),
            latency: self.latency.saturating_sub(before.latency),
        }
    }
}

/// Judges the endpoints of an upstream for as long as it lives.
pub(super) async fn run(members: Arc<Members>) {
    let Some(detector) = &members.detector else { return };
    loop {
        let next = detector.lock().next();
        tokio::select! {
            () = members.alarm.notified() => {}
            () = tokio::time::sleep_until(next.into()) => {}
        }
        judge(&members, Instant::now());
    }
}

/// Ejects those whose row of failures is too long or who are worse than the others, and lets return whose time is
/// over.
pub(super) fn judge(members: &Members, now: Instant) {
    let (Some(config), Some(detector)) = (&members.config.outliers, &members.detector) else { return };
    let current = members.current();
    let views = members.views();
    let total = |id| {
        let slots = views.iter().filter_map(|view| view.slot(id));
        Totals::sum(slots.filter_map(|slot| Some(slot.judges.tally.as_ref()?.totals())))
    };
    let totals: Vec<_> = current.iter().map(|member| (member.endpoint.id, total(member.endpoint.id))).collect();
    let mut detector = detector.lock();
    let mut events = detector.sweep(&totals, now);
    for member in current.iter() {
        if let Some(cause) = member.endpoint.streak.over(config) {
            events.extend(detector.eject(member.endpoint.id, cause, current.len(), now));
        }
    }
    drop(detector);
    for event in events {
        let (id, ejected) = match event {
            Event::Eject { id, .. } => (id, true),
            Event::Return { id } => (id, false),
        };
        let Some(member) = current.iter().find(|member| member.endpoint.id == id) else { continue };
        let (upstream, endpoint) = (&members.upstream, &member.endpoint.address);
        members.set(&member.endpoint, Reason::Ejected, ejected, now);
        match event {
            Event::Eject { cause, time, .. } => {
                members.counts.ejected(cause);
                warn!(%upstream, %endpoint, cause = cause.name(), ?time, "an endpoint is ejected");
            }
            Event::Return { .. } => info!(%upstream, %endpoint, "an endpoint returns from its ejection"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;

    use super::*;

    fn outcome(end: End) -> Outcome {
        Outcome { end, judged: Some(end), latency: Duration::from_millis(1), at: Instant::now() }
    }

    fn status(status: u16) -> End {
        End::Response(StatusCode::from_u16(status).expect("a status"))
    }

    fn config(errors: u32, gateway: u32) -> Outliers {
        Outliers { consecutive_5xx: errors, consecutive_gateway: gateway, ..detector::tests::config() }
    }

    proptest! {
        /// The model: the length of the row of failures at the end of what came, which began anew when it was over.
        #[test]
        fn rows_are_counted_as_a_simple_loop_counts_them(
            ends in prop::collection::vec(0_u8..5, 0..60), errors in 0_u32..5, gateway in 0_u32..5,
        ) {
            let config = config(errors, gateway);
            let (tally, streak) = (Tally::new(&config, Arc::default()), Streak::default());
            let (mut row, mut gateway_row) = (0, 0);
            for end in ends {
                let end = [status(200), status(500), status(503), End::Timeout, End::Nothing][usize::from(end)];
                let full = tally.count(&outcome(end), &streak);
                match end {
                    End::Response(status) if status == 200 => (row, gateway_row) = (0, 0),
                    End::Response(status) if status == 500 => (row, gateway_row) = (row + 1, 0),
                    End::Nothing => {}
                    _ => (row, gateway_row) = (row + 1, gateway_row + 1),
                }
                let model = if errors > 0 && row >= errors {
                    Some(Cause::Consecutive5xx)
                } else if gateway > 0 && gateway_row >= gateway {
                    Some(Cause::ConsecutiveGateway)
                } else {
                    None
                };
                prop_assert_eq!(full, model.is_some());
                prop_assert_eq!(streak.over(&config), model);
                if model.is_some() {
                    (row, gateway_row) = (0, 0);
                }
            }
        }
    }
}
