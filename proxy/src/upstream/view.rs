//! The endpoints of an upstream as one worker sees them at one time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::balance::{Group, Plan};
use super::endpoint::Member;
use super::pick::Wanted;
use super::slot::Slot;
use crate::config::{Balance, Fallback};

/// The most subsets whose candidates are kept. A plugin may write one set of labels in many orders.
const SUBSETS: usize = 256;

/// The labels that requests ask for, as they ask for them.
type Subset = Vec<(String, String)>;

/// The endpoints of an upstream as one worker sees them. It never changes; what does is in the slots.
pub(super) struct View {
    members: Arc<[Member]>,
    /// In the order of the members.
    pub(super) slots: Box<[Arc<Slot>]>,
    /// The candidates for requests that may go anywhere.
    all: Group,
    /// The candidates by labels, made when they are first asked for. Only this worker takes the lock.
    subsets: Mutex<HashMap<Subset, Arc<Group>>>,
    balance: Arc<Balance>,
    worker: usize,
}

impl View {
    /// The members as this worker sees them; `all` is the plan for requests without subset.
    pub(super) fn new(
        members: Arc<[Member]>,
        slots: Box<[Arc<Slot>]>,
        all: Arc<Plan>,
        balance: Arc<Balance>,
        worker: usize,
    ) -> Self {
        Self { members, slots, all: Group::new(all, worker), subsets: Mutex::default(), balance, worker }
    }

    /// Whether any endpoint has all these labels.
    pub(super) fn has(&self, labels: &[(String, String)]) -> bool {
        self.members.iter().any(|member| member.has_all(labels))
    }

    /// The slot of an endpoint.
    pub(super) fn slot(&self, id: u64) -> Option<&Arc<Slot>> {
        self.slots.iter().find(|slot| slot.endpoint.id == id)
    }

    /// The endpoint for a request.
    pub(super) fn choose(&self, wanted: &Wanted<'_>) -> Option<&Arc<Slot>> {
        let at = if wanted.hint.subset.is_empty() { self.all.choose(&self.slots, wanted) } else { self.among(wanted) };
        Some(&self.slots[at?])
    }

    /// Among those with the request's labels, or where the upstream sends requests that nobody matches.
    fn among(&self, wanted: &Wanted<'_>) -> Option<usize> {
        let matching = self.subset(wanted.hint.subset);
        match &self.balance.fallback {
            Fallback::None => matching.choose(&self.slots, wanted),
            _ if !matching.is_empty() => matching.choose(&self.slots, wanted),
            Fallback::Any => self.all.choose(&self.slots, wanted),
            Fallback::Subset(labels) => self.subset(labels).choose(&self.slots, wanted),
        }
    }

    fn subset(&self, labels: &[(String, String)]) -> Arc<Group> {
        let mut subsets = self.subsets.lock();
        if let Some(known) = subsets.get(labels) {
            return Arc::clone(known);
        }
        let plan = Plan::new(&self.balance, &self.members, |member| member.has_all(labels), Instant::now());
        let group = Arc::new(Group::new(Arc::new(plan), self.worker));
        if subsets.len() < SUBSETS {
            subsets.insert(labels.to_vec(), Arc::clone(&group));
        }
        group
    }
}
