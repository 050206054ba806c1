//! The store in this process.

mod bucket;
mod counter;
mod recent;
mod values;

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::clock::Clock;
use super::{Decision, KEY_LIMIT, TooLarge, VALUE_LIMIT};
use bucket::{Bucket, Rule};
use counter::Counter;
use values::Values;

/// The most token buckets of a space, and the most counters. Those that were not used for longest make room.
const SLOTS: u64 = 100_000;
/// No entry is kept for longer than this after its last use; it keeps sums of times far from their ends.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// What one plugin shares among its instances and with its later versions. All of it may be called from any thread
/// and blocks none.
pub struct Space {
    clock: Clock,
    /// Tells it from other spaces of the process.
    number: u64,
    // Each is made at its first use: most plugins use one of them, and an empty cache is not small.
    values: OnceLock<Values>,
    buckets: OnceLock<Cache<Box<str>, Arc<Bucket>>>,
    counters: OnceLock<Cache<Box<str>, Arc<Counter>>>,
}

impl Space {
    /// An empty space.
    pub(super) fn new(clock: Clock) -> Self {
        static SPACES: AtomicU64 = AtomicU64::new(0);
        Self {
            clock,
            number: SPACES.fetch_add(1, Relaxed),
            values: OnceLock::new(),
            buckets: OnceLock::new(),
            counters: OnceLock::new(),
        }
    }

    /// The value of a key that has not expired.
    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.values.get()?.get(key, self.clock.now())
    }

    /// Sets a key for `ttl`, or until it must make room for others.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), TooLarge> {
        if key.len() > KEY_LIMIT || value.len() > VALUE_LIMIT {
            return Err(TooLarge);
        }
        self.values.get_or_init(Values::default).set(key, value, ttl.map(|ttl| ttl.min(LONGEST)), self.clock.now());
        Ok(())
    }

    /// Removes a key.
    pub fn delete(&self, key: &str) {
        if let Some(values) = self.values.get() {
            values.delete(key);
        }
    }

    /// Takes tokens from the bucket of this key, which holds at most `burst` and refills by `rate` tokens in each
    /// `period`, one after the other. A new bucket is full. Nothing is taken where not all of them are there.
    ///
    /// The rate is exact to a nanosecond for each token and never higher than asked for. A bucket that is asked
    /// for by another rate or burst than before keeps what was taken from it, and owes at most one full bucket.
    pub fn take(&self, key: &str, tokens: u64, rate: u64, period: Duration, burst: u64) -> Decision {
        let rule = Rule::new(rate, period, burst);
        let key = bounded_key(key);
        let find = || {
            let buckets = self.buckets.get_or_init(|| bounded(Refill));
            buckets.get(&*key).unwrap_or_else(|| {
                buckets.entry(Box::from(&*key)).or_insert_with(|| Arc::new(Bucket::new(&rule))).into_value()
            })
        };
        let now = self.clock.now();
        recent::ask(self.number, &key, now, find, |bucket| bucket.take(now, tokens, &rule))
    }

    /// Adds to the counter of this key and gives its new value, which stops at the ends of its range. A counter
    /// begins at 0 and lasts `ttl` from its first use; with a `ttl` of zero, until it must make room.
    pub fn add(&self, key: &str, delta: i64, ttl: Duration) -> i64 {
        let counters = self.counters.get_or_init(|| bounded(Lifetime));
        let key = bounded_key(key);
        let now = self.clock.now();
        let counter = counters.get(&*key).filter(|counter| counter.is_live(now)).unwrap_or_else(|| {
            let fresh = || Arc::new(Counter::new(now, ttl.min(LONGEST)));
            counters.entry(Box::from(&*key)).or_insert_with_if(fresh, |old| !old.is_live(now)).into_value()
        });
        counter.add(delta)
    }

    /// The value of a counter; 0 where there is none.
    pub fn counter(&self, key: &str) -> i64 {
        let now = self.clock.now();
        let counter = self.counters.get().and_then(|counters| counters.get(&*bounded_key(key)));
        counter.filter(|counter| counter.is_live(now)).map_or(0, |counter| counter.value())
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space").finish_non_exhaustive()
    }
}

/// A cache in which a new key always gets a place: one that weighs how often keys come would let a flood of new
/// ones go by uncounted.
fn bounded<V, E>(expiry: E) -> Cache<Box<str>, V>
where
    V: Clone + Send + Sync + 'static,
    E: Expiry<Box<str>, V> + Send + Sync + 'static,
{
    Cache::builder().max_capacity(SLOTS).eviction_policy(EvictionPolicy::lru()).expire_after(expiry).build()
}

/// The key, or for one over the limit its digest, so that the number of keys bounds the memory.
fn bounded_key(key: &str) -> Cow<'_, str> {
    if key.len() <= KEY_LIMIT { Cow::Borrowed(key) } else { Cow::Owned(format!("{:x}", Sha256::digest(key))) }
}

/// A bucket goes when it must be full again: a new one is no different.
struct Refill;

/// The cache reads its clock before the bucket is asked, and the thread may sleep between.
const SLACK: Duration = Duration::from_secs(30);
/// How long a bucket that is in use stays beyond that.
const RENEWAL: Duration = Duration::from_secs(30);

impl Expiry<Box<str>, Arc<Bucket>> for Refill {
    fn expire_after_create(&self, _: &Box<str>, bucket: &Arc<Bucket>, _: std::time::Instant) -> Option<Duration> {
        Some(bucket.window().min(LONGEST) + SLACK + RENEWAL)
    }

    fn expire_after_read(
        &self,
        _: &Box<str>,
        bucket: &Arc<Bucket>,
        _: std::time::Instant,
        left: Option<Duration>,
        _: std::time::Instant,
    ) -> Option<Duration> {
        // What stays as it is costs no move in the cache's timer, so the time is renewed once in a while and not by
        // each request.
        let needed = bucket.window().min(LONGEST) + SLACK;
        left.filter(|left| *left >= needed).or(Some(needed + RENEWAL))
    }
}

/// A counter goes when its time is over.
struct Lifetime;

impl Expiry<Box<str>, Arc<Counter>> for Lifetime {
    fn expire_after_create(&self, _: &Box<str>, counter: &Arc<Counter>, _: std::time::Instant) -> Option<Duration> {
        counter.ttl()
    }

    fn expire_after_update(
        &self,
        _: &Box<str>,
        counter: &Arc<Counter>,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        counter.ttl()
    }
}

#[cfg(test)]
mod tests;
