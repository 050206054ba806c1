//! The buckets that a thread has asked last.
//!
//! The cache of all buckets notes each use of one in memory that all threads share, so that workers wait for each other's
//! cache lines. A client that sends a row of requests is found here.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::bucket::Bucket;

/// How many buckets a thread remembers, each in the one place that its key has.
const PLACES: usize = 256;
/// For how long it does. The cache keeps a bucket for much longer than this after a use that it has noted, so that none is
/// remembered here that has expired there.
const MEMORY: Duration = Duration::from_secs(1);

/// A bucket, until it must be looked up again.
struct Recent {
    space: u64,
    key: Box<str>,
    bucket: Arc<Bucket>,
    until: u64,
}

thread_local! {
    static RECENT: RefCell<Vec<Option<Recent>>> = const { RefCell::new(Vec::new()) };
}

/// Asks the bucket of a key in a space; `find` looks it up where it was not asked a moment ago.
pub(super) fn ask<T>(
    space: u64,
    key: &str,
    now: u64,
    find: impl FnOnce() -> Arc<Bucket>,
    ask: impl FnOnce(&Bucket) -> T,
) -> T {
    RECENT.with_borrow_mut(|places| {
        if places.is_empty() {
            places.resize_with(PLACES, || None);
        }
        let place = &mut places[place(space, key)];
        match place {
            Some(known) if known.space == space && now < known.until && *known.key == *key => ask(&known.bucket),
            _ => {
                let until = now.saturating_add(MEMORY.as_nanos() as u64);
                ask(&place.insert(Recent { space, key: key.into(), bucket: find(), until }).bucket)
            }
        }
    })
}

/// FNV-1a. Whoever makes keys that share a place makes them be looked up, and no more.
fn place(space: u64, key: &str) -> usize {
    let begin = 0xcbf2_9ce4_8422_2325 ^ space;
    let hash = key.bytes().fold(begin, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ (hash >> 32)) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::super::bucket::Rule;
    use super::*;

    #[test]
    fn a_bucket_is_looked_up_again_after_a_while_and_never_taken_for_anothers() {
        let rule = Rule::new(1, Duration::from_secs(1), 1);
        let looked_up = AtomicUsize::new(0);
        let find = || {
            looked_up.fetch_add(1, Relaxed);
            Arc::new(Bucket::new(&rule))
        };
        let memory = MEMORY.as_nanos() as u64;
        for (space, key, now, times) in [
            (1, "k", 0, 1),
            (1, "k", memory - 1, 1),
            (1, "k", memory, 2),
            (2, "k", memory, 3),
            (1, "other", memory, 4),
            (1, "k", memory, 4),
        ] {
            ask(space, key, now, find, |_| ());
            assert_eq!(looked_up.load(Relaxed), times, "{space} {key} {now}");
        }
    }
}
