//! Where an upstream's endpoints come from.
//!
//! A [`Discovery`] runs for as long as the upstream lives and pushes what it finds into a [`Sink`]: one that asks again
//! and again, as DNS does, and one that is told, as a registry's watch is, look the same. It runs on the supervisor's
//! thread, never on a worker.

mod dns;
mod file;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{info, warn};

use super::members::Members;
use crate::config::{Backend, Endpoint};

/// The most endpoints that an upstream gets by discovery.
const MAX_ENDPOINTS: usize = 1_000;

/// A way to find endpoints.
pub(super) trait Discovery: Send {
    /// Finds endpoints, until it is dropped.
    fn run(self: Box<Self>, sink: Sink) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The discovery of a backend; none for one that says its endpoints itself.
pub(super) fn of(backend: &Backend) -> Option<Box<dyn Discovery>> {
    match backend {
        Backend::Endpoints(_) | Backend::Echo | Backend::Component(_) => None,
        Backend::Dns(config) => Some(Box::new(dns::Dns::new(config))),
        Backend::File(file) => Some(Box::new(file::File::new(&file.0))),
    }
}

/// What discovery says of itself.
pub(super) struct Status {
    /// Whether there was any result yet, good or bad.
    first: watch::Sender<bool>,
    report: Mutex<Report>,
}

/// What came of the last search.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// When endpoints were found last.
    pub found_at: Option<SystemTime>,
    /// Why the last search found nothing; those found before it stay.
    pub error: Option<String>,
}

impl Default for Status {
    fn default() -> Self {
        Self { first: watch::Sender::new(false), report: Mutex::default() }
    }
}

impl Status {
    /// Waits for the first result.
    pub(super) async fn first(&self) {
        let mut first = self.first.subscribe();
        // The sender lives as long as this.
        let _ = first.wait_for(|first| *first).await;
    }

    pub(super) fn report(&self) -> Report {
        self.report.lock().clone()
    }
}

/// Where a discovery puts what it finds.
pub(super) struct Sink {
    members: Arc<Members>,
}

impl Sink {
    pub(super) fn new(members: Arc<Members>) -> Self {
        Self { members }
    }

    /// These are the endpoints now: all of them, not a change.
    pub(super) fn update(&self, mut endpoints: Vec<Endpoint>) {
        let upstream = &self.members.upstream;
        endpoints.sort_by_cached_key(Endpoint::address);
        endpoints.dedup_by(|a, b| a.authority == b.authority && a.socket == b.socket);
        if endpoints.len() > MAX_ENDPOINTS {
            warn!(%upstream, found = endpoints.len(), "too many endpoints: the first {MAX_ENDPOINTS} are used");
            endpoints.truncate(MAX_ENDPOINTS);
        }
        let current = self.members.current();
        let changed = !current.iter().map(|member| &member.found).eq(&endpoints);
        if changed {
            self.members.replace(&endpoints, Instant::now());
        }
        *self.members.discovery.report.lock() = Report { found_at: Some(SystemTime::now()), error: None };
        if changed {
            info!(%upstream, before = current.len(), now = endpoints.len(), "the endpoints have changed");
        }
        self.members.discovery.first.send_replace(true);
    }

    /// Nothing was found, for this reason. What was found before stays.
    pub(super) fn failed(&self, error: String) {
        let upstream = &self.members.upstream;
        let mut report = self.members.discovery.report.lock();
        if report.error.as_ref() != Some(&error) {
            let kept = self.members.current().len();
            warn!(%upstream, kept, "the endpoints are not found: {error}");
        }
        report.error = Some(error);
        drop(report);
        self.members.counts.search_failed();
        self.members.discovery.first.send_replace(true);
    }

    /// Waits until a connection could not be made: then what was found may be out of date.
    pub(super) async fn doubted(&self) {
        self.members.refresh.notified().await;
    }
}
