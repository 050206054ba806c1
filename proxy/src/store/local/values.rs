//! Key-value pairs, bounded by their size.

use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// The most bytes of all keys and values of a space.
const CAPACITY: u64 = 64 << 20;
/// What a pair takes beside its bytes, about.
const OVERHEAD: usize = 128;

/// The pairs of one space.
pub(super) struct Values(Cache<Box<str>, Entry>);

#[derive(Clone)]
struct Entry {
    value: Bytes,
    ttl: Option<Duration>,
    ends: u64,
}

impl Default for Values {
    fn default() -> Self {
        let builder = Cache::<Box<str>, Entry>::builder().max_capacity(CAPACITY).expire_after(Lifetime);
        // A pair that was just set is there for whoever asks next, however full the space is.
        let builder = builder.eviction_policy(EvictionPolicy::lru());
        Self(builder.weigher(|key, entry| weight(key, entry)).build())
    }
}

impl Values {
    pub(super) fn get(&self, key: &str, now: u64) -> Option<Bytes> {
        self.0.get(key).filter(|entry| now < entry.ends).map(|entry| entry.value)
    }

    pub(super) fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>, now: u64) {
        let ends = ttl.map_or(u64::MAX, |ttl| now.saturating_add(ttl.as_nanos() as u64));
        self.0.insert(key.into(), Entry { value, ttl, ends });
    }

    pub(super) fn delete(&self, key: &str) {
        self.0.invalidate(key);
    }
}

fn weight(key: &str, entry: &Entry) -> u32 {
    u32::try_from(key.len() + entry.value.len() + OVERHEAD).unwrap_or(u32::MAX)
}

/// A pair goes when its time is over; setting it again begins a new time.
struct Lifetime;

impl Expiry<Box<str>, Entry> for Lifetime {
    fn expire_after_create(&self, _: &Box<str>, entry: &Entry, _: Instant) -> Option<Duration> {
        entry.ttl
    }

    fn expire_after_update(&self, _: &Box<str>, entry: &Entry, _: Instant, _: Option<Duration>) -> Option<Duration> {
        entry.ttl
    }
}

#[cfg(test)]
impl Values {
    /// What all pairs weigh, when housekeeping is done.
    pub(super) fn held_bytes(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.weighted_size()
    }
}
