//! The choice of an endpoint for one request, from the first try to the last.

use std::net::IpAddr;
use std::sync::Arc;

use super::members::Lane;
use super::slot::Slot;

/// What a request says of the endpoint that it wants.
#[derive(Debug, Default, Clone, Copy)]
pub struct Hint<'a> {
    /// Labels that the endpoint must have.
    pub subset: &'a [(String, String)],
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The hash of a key that was chosen for this request, in the place of the one that the upstream's balancing
    /// would take.
    pub key: Option<u64>,
}

/// The choice of an endpoint for one request. It knows which endpoints it has given: none is given twice.
pub(super) struct Pick<'a> {
    lane: &'a Lane,
    wanted: Wanted<'a>,
}

/// What a balancer knows of a request.
pub(super) struct Wanted<'a> {
    pub(super) hint: Hint<'a>,
    tried: Tried,
}

/// The endpoints that a request was given. Most requests need one, which takes no memory of its own.
#[derive(Default)]
struct Tried {
    last: u64,
    before: Vec<u64>,
}

impl<'a> Pick<'a> {
    pub(super) fn new(lane: &'a Lane, hint: Hint<'a>) -> Self {
        Self { lane, wanted: Wanted { hint, tried: Tried::default() } }
    }

    /// The endpoint for the next try: one of those that the upstream has now, and none that was given before. None
    /// where no endpoint is left.
    pub(super) fn next(&mut self) -> Option<Arc<Slot>> {
        let slot = self.lane.view().choose(&self.wanted).map(Arc::clone)?;
        self.wanted.tried.add(slot.endpoint.id);
        Some(slot)
    }

    /// Lets every endpoint be given again: for another try where there is no other endpoint left.
    pub(super) fn forget(&mut self) {
        self.wanted.tried = Tried::default();
    }
}

impl Wanted<'_> {
    /// The hash of the request's key, where the upstream's balancing asks for one.
    pub(super) fn key(&self) -> Option<u64> {
        self.hint.key
    }

    /// Whether the request was given this endpoint before.
    pub(super) fn has_tried(&self, slot: &Slot) -> bool {
        self.tried.has(slot.endpoint.id)
    }

    /// Whether this is the first try.
    pub(super) fn is_first(&self) -> bool {
        self.tried.last == 0
    }
}

impl Tried {
    fn add(&mut self, id: u64) {
        let before = std::mem::replace(&mut self.last, id);
        if before != 0 {
            self.before.push(before);
        }
    }

    fn has(&self, id: u64) -> bool {
        self.last == id || self.before.contains(&id)
    }
}
