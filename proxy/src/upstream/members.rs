//! The endpoints that an upstream has, which discovery may replace at any time.
//!
//! What requests see is a [`View`]: immutable, one for each worker, published by one atomic pointer. So a choice
//! takes no lock and touches nothing that another core writes; a change builds new views beside the old ones.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::endpoint::{Endpoint, Member};
use super::slot::Slot;
use super::view::View;
use crate::config;

/// All endpoints of an upstream.
pub(super) struct Members {
    /// The upstream's name.
    pub(super) upstream: Arc<str>,
    config: config::Upstream,
    /// Held while members change, never on a request's path.
    current: Mutex<Arc<[Member]>>,
    lanes: Box<[Lane]>,
}

/// The endpoints as one worker sees them.
pub(super) struct Lane {
    worker: usize,
    view: ArcSwap<View>,
}

impl Lane {
    /// What is there now. Do not hold it while anything is waited for.
    pub(super) fn view(&self) -> arc_swap::Guard<Arc<View>> {
        self.view.load()
    }
}

impl Members {
    /// These endpoints, without connections, for workers `0..workers`.
    pub(super) fn new(
        upstream: &str,
        config: &config::Upstream,
        endpoints: &[config::Endpoint],
        workers: usize,
    ) -> Self {
        let lane = |worker| Lane { worker, view: ArcSwap::from_pointee(View::empty(config)) };
        let members = Self {
            upstream: upstream.into(),
            config: config.clone(),
            current: Mutex::new(Arc::new([])),
            lanes: (0..workers.max(1)).map(lane).collect(),
        };
        members.replace(endpoints);
        members
    }

    /// The part of a worker.
    pub(super) fn lane(&self, worker: usize) -> &Lane {
        &self.lanes[worker % self.lanes.len()]
    }

    /// The endpoints that there are now.
    pub(super) fn current(&self) -> Arc<[Member]> {
        Arc::clone(&self.current.lock())
    }

    /// The slots of all workers, those of one worker in the order of [`Self::current`].
    pub(super) fn views(&self) -> Vec<Arc<View>> {
        self.lanes.iter().map(|lane| lane.view.load_full()).collect()
    }

    /// These are the endpoints from now on. One that was there before keeps its connections and what is known of it.
    /// One that is there no longer gets no new requests; those that it has begun end, since they hold their slot.
    pub(super) fn replace(&self, endpoints: &[config::Endpoint]) {
        let mut current = self.current.lock();
        let known: HashMap<_, _> = current.iter().map(|m| (&m.endpoint.authority, &m.endpoint)).collect();
        let member = |found: &config::Endpoint| Member {
            endpoint: match known.get(&found.authority) {
                Some(endpoint) => Arc::clone(endpoint),
                None => Arc::new(Endpoint::new(&found.authority)),
            },
            found: found.clone(),
        };
        let members: Arc<[Member]> = endpoints.iter().map(member).collect();
        *current = Arc::clone(&members);
        self.publish(&members);
    }

    fn publish(&self, members: &Arc<[Member]>) {
        for lane in &self.lanes {
            let old = lane.view.load();
            let slots: HashMap<u64, &Arc<Slot>> = old.slots.iter().map(|slot| (slot.endpoint.id, slot)).collect();
            let slot = |member: &Member| match slots.get(&member.endpoint.id) {
                Some(slot) => Arc::clone(slot),
                None => Arc::new(Slot::new(&self.upstream, Arc::clone(&member.endpoint), &self.config)),
            };
            let slots = members.iter().map(slot).collect();
            let view = View::new(Arc::clone(members), slots, &self.config, lane.worker);
            lane.view.store(Arc::new(view));
        }
    }
}
