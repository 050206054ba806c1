//! The endpoints of an upstream as one worker sees them at one time.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::balance::Group;
use super::endpoint::Member;
use super::pick::Wanted;
use super::slot::Slot;
use crate::config;

/// The most subsets whose candidates are kept. A plugin may write one set of labels in many orders.
const SUBSETS: usize = 256;

/// The endpoints of an upstream as one worker sees them. It never changes; what does is in the slots.
pub(super) struct View {
    pub(super) members: Arc<[Member]>,
    /// In the order of the members.
    pub(super) slots: Box<[Arc<Slot>]>,
    /// The candidates for requests that may go anywhere.
    all: Group,
    /// The candidates by labels, made when they are first asked for. Only this worker takes the lock.
    subsets: Mutex<HashMap<Vec<(String, String)>, Arc<Group>>>,
    balance: config::Balance,
    worker: usize,
}

impl View {
    /// Of no endpoints.
    pub(super) fn empty(config: &config::Upstream) -> Self {
        Self::new(Arc::new([]), Box::new([]), config, 0)
    }

    pub(super) fn new(
        members: Arc<[Member]>,
        slots: Box<[Arc<Slot>]>,
        config: &config::Upstream,
        worker: usize,
    ) -> Self {
        let all = Group::new(config.balance, (0..members.len()).collect(), worker);
        Self { members, slots, all, subsets: Mutex::default(), balance: config.balance, worker }
    }

    /// The slot of an endpoint.
    pub(super) fn slot(&self, id: u64) -> Option<&Arc<Slot>> {
        self.slots.iter().find(|slot| slot.endpoint.id == id)
    }

    /// The endpoint for a request.
    pub(super) fn choose(&self, wanted: &Wanted<'_>) -> Option<&Arc<Slot>> {
        let at = if wanted.hint.subset.is_empty() {
            self.all.choose(&self.slots, wanted)
        } else {
            self.subset(wanted.hint.subset).choose(&self.slots, wanted)
        };
        Some(&self.slots[at?])
    }

    fn subset(&self, labels: &[(String, String)]) -> Arc<Group> {
        let mut subsets = self.subsets.lock();
        if let Some(known) = subsets.get(labels) {
            return Arc::clone(known);
        }
        let fits = (0..self.members.len()).filter(|at| self.members[*at].has_all(labels)).collect();
        let group = Arc::new(Group::new(self.balance, fits, self.worker));
        if subsets.len() < SUBSETS {
            subsets.insert(labels.to_vec(), Arc::clone(&group));
        }
        group
    }
}
