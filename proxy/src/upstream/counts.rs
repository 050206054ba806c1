//! What is counted of an upstream's endpoints, besides requests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::outlier::Cause;

/// EndpointEvents since the upstream is there; the supervisor counts them, never a worker.
#[derive(Debug, Default)]
pub(super) struct Counts {
    checks: AtomicU64,
    failed_checks: AtomicU64,
    ejections: [AtomicU64; Cause::ALL.len()],
    failed_searches: AtomicU64,
}

/// The events of an upstream's endpoints.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct EndpointEvents {
    /// Health checks.
    pub checks: u64,
    /// Those that failed.
    pub failed_checks: u64,
    /// Ejections by cause.
    pub ejections: Vec<(&'static str, u64)>,
    /// Searches for endpoints that found none.
    pub failed_searches: u64,
}

impl Counts {
    /// A health check ended.
    pub(super) fn checked(&self, good: bool) {
        self.checks.fetch_add(1, Relaxed);
        self.failed_checks.fetch_add(u64::from(!good), Relaxed);
    }

    /// An endpoint was ejected.
    pub(super) fn ejected(&self, cause: Cause) {
        self.ejections[cause as usize].fetch_add(1, Relaxed);
    }

    /// Discovery found nothing.
    pub(super) fn search_failed(&self) {
        self.failed_searches.fetch_add(1, Relaxed);
    }

    /// All of them.
    pub(super) fn events(&self) -> EndpointEvents {
        let ejections = Cause::ALL.into_iter().zip(&self.ejections);
        EndpointEvents {
            checks: self.checks.load(Relaxed),
            failed_checks: self.failed_checks.load(Relaxed),
            ejections: ejections
                .map(|(cause, count)| (cause.name(), count.load(Relaxed)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            failed_searches: self.failed_searches.load(Relaxed),
        }
    }
}
