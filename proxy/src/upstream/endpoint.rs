//! One endpoint as all workers know it, and its place in an upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::uri::Authority;

use crate::config;

/// One endpoint, for as long as the upstream has it. What changes in it is rare: a state, never a count.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Tells endpoints apart, also those of one address that come one after the other. Never 0.
    pub(super) id: u64,
    /// Host and port.
    pub(super) authority: Authority,
    /// Host and port in text.
    pub(super) address: Arc<str>,
}

impl Endpoint {
    /// An endpoint that the upstream did not have before.
    pub(super) fn new(authority: &Authority) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { id: NEXT.fetch_add(1, Relaxed), authority: authority.clone(), address: authority.as_str().into() }
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
