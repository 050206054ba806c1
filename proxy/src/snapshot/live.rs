//! The snapshot that serves now, and how workers hold on to it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::Snapshot;
use crate::chain::{Directory, Retrying};

/// The snapshot that serves now. Publishing is one atomic pointer.
pub struct Live {
    current: ArcSwap<Snapshot>,
    changed: watch::Sender<u64>,
}

/// A worker's hold on a snapshot. Requests of one worker share it, so that pinning counts on memory that belongs to
/// that worker alone.
pub struct Pinned {
    snapshot: Arc<Snapshot>,
}

/// What a request holds from its first byte to its last.
pub type Pin = Arc<Pinned>;

impl std::ops::Deref for Pinned {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Directory for Pinned {
    fn has_upstream(&self, name: &str) -> bool {
        self.snapshot.has_upstream(name)
    }

    fn has_subset(&self, upstream: Option<&str>, route: &str, labels: &[(String, String)]) -> bool {
        self.snapshot.has_subset(upstream, route, labels)
    }

    fn route_upstream(&self, route: &str) -> Option<Arc<str>> {
        self.snapshot.route_upstream(route)
    }

    fn retry(&self, upstream: Option<&str>, route: &str) -> Option<Retrying> {
        self.snapshot.retry(upstream, route)
    }
}

impl Live {
    /// Begins with this snapshot.
    pub fn new(first: Snapshot) -> Arc<Self> {
        let (changed, _) = watch::channel(first.generation);
        Arc::new(Self { current: ArcSwap::from_pointee(first), changed })
    }

    /// The snapshot that serves now.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Lets a snapshot serve. Requests that have begun finish on the one they began with.
    pub fn publish(&self, next: Arc<Snapshot>) -> Arc<Snapshot> {
        let generation = next.generation;
        let old = self.current.swap(next);
        self.changed.send_replace(generation);
        old
    }

    /// Learns of each published snapshot.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

/// One worker's way to pin.
pub struct Pinner {
    live: Arc<Live>,
    pin: Mutex<Pin>,
}

impl Pinner {
    /// Pins what serves now.
    pub fn new(live: Arc<Live>) -> Self {
        let pin = Arc::new(Pinned { snapshot: live.current() });
        Self { live, pin: Mutex::new(pin) }
    }

    /// Pins the snapshot that serves now.
    pub fn pin(&self) -> Pin {
        let mut pin = self.pin.lock();
        let current = self.live.current.load();
        if !Arc::ptr_eq(&current, &pin.snapshot) {
            *pin = Arc::new(Pinned { snapshot: Arc::clone(&current) });
        }
        pin.clone()
    }

    /// Follows every change, so that a worker without requests does not keep an old snapshot alive.
    pub async fn follow(&self) {
        let mut changed = self.live.subscribe();
        while changed.changed().await.is_ok() {
            drop(self.pin());
        }
    }
}
