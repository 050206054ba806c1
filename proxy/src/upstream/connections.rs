//! A limit on connections, and the requests that wait for one.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::http1::Link;
use super::slot::{Slot, Terms};

/// The limit on an upstream's connections, in all workers.
pub(super) struct Connections {
    free: Arc<Semaphore>,
    pending: AtomicUsize,
    most_pending: usize,
    /// Those that may have unused connections.
    slots: Mutex<Vec<Weak<Slot>>>,
}

/// The right to one connection, for as long as it lives.
pub(super) type Place = OwnedSemaphorePermit;

/// What ends the wait.
pub(super) enum Turn {
    /// A new connection may be made.
    Place(Place),
    /// A connection is not in use any more.
    Link(Link),
}

/// Counts a request that waits.
struct Waiting<'a>(&'a AtomicUsize, Option<&'a AtomicUsize>);

impl<'a> Waiting<'a> {
    fn new(all: &'a AtomicUsize, here: Option<&'a AtomicUsize>) -> Self {
        all.fetch_add(1, Relaxed);
        here.map(|here| here.fetch_add(1, Relaxed));
        Self(all, here)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
        self.1.map(|here| here.fetch_sub(1, Relaxed));
    }
}

impl Connections {
    pub(super) fn new(most: usize, most_pending: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            pending: AtomicUsize::new(0),
            most_pending,
            slots: Mutex::default(),
        }
    }

    /// Whether a request waits somewhere.
    pub(super) fn is_wanted(&self) -> bool {
        self.pending.load(Relaxed) > 0
    }

    /// A slot may have unused connections from now on.
    pub(super) fn watch(&self, slot: &Arc<Slot>) {
        let mut slots = self.slots.lock();
        slots.retain(|slot| slot.strong_count() > 0);
        if !slots.iter().any(|known| known.as_ptr() == Arc::as_ptr(slot)) {
            slots.push(Arc::downgrade(slot));
        }
    }

    /// Waits for its turn, for so long; none where that is over, or where too many wait already. A connection of
    /// HTTP/1.1 that is not in use any more is a turn for who takes `links`.
    pub(super) async fn turn(&self, slot: &Slot, terms: &Terms<'_>, limit: Duration, links: bool) -> Option<Turn> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Some(Turn::Place(place));
        }
        if self.pending.load(Relaxed) >= self.most_pending {
            return None;
        }
        let _waiting = Waiting::new(&self.pending, links.then_some(&slot.waiting));
        self.close_one();
        let turn = async {
            loop {
                tokio::select! {
                    place = Arc::clone(&self.free).acquire_owned() => return place.ok().map(Turn::Place),
                    () = slot.parked_one.notified(), if links => {
                        let client = terms.client(slot);
                        let link = slot.parked.lock().take(Instant::now(), slot.limits.idle_timeout, client);
                        if let Some(link) = link {
                            return Some(Turn::Link(link));
                        }
                    }
                }
            }
        };
        timeout(limit, turn).await.ok().flatten()
    }

    /// Closes an unused connection of any worker.
    fn close_one(&self) {
        let slots: Vec<_> = self.slots.lock().iter().filter_map(Weak::upgrade).collect();
        for slot in slots {
            let oldest = slot.parked.lock().oldest();
            if oldest.is_some() {
                return;
            }
        }
    }
}
