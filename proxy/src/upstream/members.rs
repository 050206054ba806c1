//! The endpoints that an upstream has, which discovery, health checks and outlier detection may change at any time.
//!
//! What requests see is a [`View`]: immutable, one for each worker, published by one atomic pointer. So a choice
//! takes no lock and touches nothing that another core writes; a change builds new views beside the old ones.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::balance::{Ewma, Plan};
use super::common::Common;
use super::counts::Counts;
use super::discovery;
use super::endpoint::{Endpoint, Member, Reason};
use super::outcome::Judges;
use super::outlier::{Detector, Tally};
use super::service;
use super::slot::Slot;
use super::view::View;
use crate::config::{self, Backend, Balance, Fallback};

/// All endpoints of an upstream.
pub(super) struct Members {
    /// The upstream's name.
    pub(super) upstream: Arc<str>,
    pub(super) config: config::Upstream,
    pub(super) common: Arc<Common>,
    balance: Arc<Balance>,
    /// Held while members change, never on a request's path.
    current: Mutex<Current>,
    lanes: Box<[Lane]>,
    /// Counts the changes of members.
    changed: watch::Sender<u64>,
    /// An endpoint has failed too often in a row.
    pub(super) alarm: Arc<Notify>,
    /// No connection could be made, so what discovery found may be out of date.
    pub(super) refresh: Arc<Notify>,
    /// What happened to endpoints.
    pub(super) counts: Counts,
    /// What discovery says of itself.
    pub(super) discovery: discovery::Status,
    /// Who is ejected, and for how long.
    pub(super) detector: Option<Mutex<Detector>>,
}

struct Current {
    members: Arc<[Member]>,
    /// Endpoints that have left, while requests to them go on.
    leaving: Vec<Leaving>,
    /// Whether there were endpoints before: those that come later begin slowly.
    begun: bool,
}

/// An endpoint that the upstream has no longer.
#[derive(Clone)]
pub(super) struct Leaving {
    pub(super) member: Member,
    pub(super) slots: Vec<Weak<Slot>>,
}

impl Leaving {
    /// Whether any request to it goes on.
    fn goes_on(&self) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        self.slots.iter().filter_map(Weak::upgrade).any(|slot| slot.counts.in_flight.load(Relaxed) > 0)
    }
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
    /// The endpoints that the configuration names, for workers `0..workers`.
    pub(super) fn new(upstream: &str, config: &config::Upstream, common: &Arc<Common>, workers: usize) -> Self {
        let balance = Arc::new(config.balance.clone());
        let lane = |worker| {
            let nobody = Arc::new(Plan::new(&balance, &[], |_| true, Instant::now()));
            let view = View::new(Arc::new([]), Box::new([]), nobody, Arc::clone(&balance), worker);
            Lane { worker, view: ArcSwap::from_pointee(view) }
        };
        let members = Self {
            upstream: upstream.into(),
            config: config.clone(),
            common: Arc::clone(common),
            lanes: (0..workers.max(1)).map(lane).collect(),
            balance: Arc::clone(&balance),
            current: Mutex::new(Current { members: Arc::new([]), leaving: Vec::new(), begun: false }),
            changed: watch::Sender::new(0),
            alarm: Arc::default(),
            refresh: Arc::default(),
            counts: Counts::default(),
            discovery: discovery::Status::default(),
            detector: config.outliers.as_ref().map(|config| Mutex::new(Detector::new(config, Instant::now()))),
        };
        match &config.backend {
            Backend::Endpoints(endpoints) => members.replace(endpoints, Instant::now()),
            Backend::Component(_) => members.replace(&[service::endpoint()], Instant::now()),
            Backend::Dns(_) | Backend::File(_) | Backend::Echo => {}
        }
        members
    }

    /// The part of a worker.
    pub(super) fn lane(&self, worker: usize) -> &Lane {
        &self.lanes[worker % self.lanes.len()]
    }

    /// The endpoints that there are now.
    pub(super) fn current(&self) -> Arc<[Member]> {
        Arc::clone(&self.current.lock().members)
    }

    /// The endpoints that have left, and to which requests still go on.
    pub(super) fn leaving(&self) -> Vec<Leaving> {
        let mut current = self.current.lock();
        current.leaving.retain(Leaving::goes_on);
        current.leaving.clone()
    }

    /// What all workers see.
    pub(super) fn views(&self) -> Vec<Arc<View>> {
        self.lanes.iter().map(|lane| lane.view.load_full()).collect()
    }

    /// Learns of each change of members.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Whether any endpoint has all these labels, or requests for them go elsewhere.
    pub(super) fn has_subset(&self, subset: &[(String, String)]) -> bool {
        self.balance.fallback != Fallback::None || self.lanes[0].view().has(subset)
    }

    /// These are the endpoints from now on. One that was there before keeps its connections and what is known of it.
    /// One that is there no longer gets no new requests; those that it has begun end, since they hold their slot.
    pub(super) fn replace(&self, endpoints: &[config::Endpoint], now: Instant) {
        let mut current = self.current.lock();
        let known: HashMap<_, _> = current.members.iter().map(|m| (&*m.endpoint.address, &m.endpoint)).collect();
        let since = current.begun.then_some(now);
        let unhealthy = self.config.health.as_ref().is_some_and(|health| !health.optimistic);
        let member = |found: &config::Endpoint| Member {
            endpoint: match known.get(&*found.address()) {
                Some(endpoint) => Arc::clone(endpoint),
                None => Arc::new(Endpoint::new(found, &self.config.sending, since, unhealthy)),
            },
            found: found.clone(),
        };
        let members: Arc<[Member]> = endpoints.iter().map(member).collect();
        let left = current.members.iter().filter(|m| !members.iter().any(|other| other.endpoint.id == m.endpoint.id));
        let views = self.views();
        let left: Vec<Leaving> = left
            .map(|member| {
                let slots = views.iter().filter_map(|view| view.slot(member.endpoint.id));
                Leaving { member: member.clone(), slots: slots.map(Arc::downgrade).collect() }
            })
            .collect();
        drop(known);
        current.leaving.retain(Leaving::goes_on);
        current.leaving.extend(left);
        current.begun |= !members.is_empty();
        current.members = Arc::clone(&members);
        self.publish(&members, now);
        drop(current);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Takes an endpoint out of the choice for a reason, or lets it in again; true where that changed anything.
    pub(super) fn set(&self, endpoint: &Endpoint, reason: Reason, on: bool, now: Instant) -> bool {
        let current = self.current.lock();
        let changed = endpoint.set(reason, on, now);
        if changed {
            self.publish(&current.members, now);
        }
        changed
    }

    /// Who hears how tries at one of the endpoints end.
    fn judges(&self) -> Judges {
        Judges {
            latency: Ewma::for_policy(&self.config.balance.policy),
            tally: self.config.outliers.as_ref().map(|config| Tally::new(config, Arc::clone(&self.alarm))),
            refresh: matches!(self.config.backend, Backend::Dns(_)).then(|| Arc::clone(&self.refresh)),
        }
    }

    fn publish(&self, members: &Arc<[Member]>, now: Instant) {
        let plan = Arc::new(Plan::new(&self.balance, members, |_| true, now));
        for lane in &self.lanes {
            let old = lane.view.load();
            let slots: HashMap<u64, &Arc<Slot>> = old.slots.iter().map(|slot| (slot.endpoint.id, slot)).collect();
            let slot = |member: &Member| match slots.get(&member.endpoint.id) {
                Some(slot) => Arc::clone(slot),
                None => Arc::new(Slot::new(
                    &self.upstream,
                    Arc::clone(&member.endpoint),
                    &self.config,
                    &self.common,
                    self.judges(),
                )),
            };
            let slots = members.iter().map(slot).collect();
            let balance = Arc::clone(&self.balance);
            let view = View::new(Arc::clone(members), slots, Arc::clone(&plan), balance, lane.worker);
            lane.view.store(Arc::new(view));
        }
    }
}
