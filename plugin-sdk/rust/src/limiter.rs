//! Rate limits and counters: atomic, and shared by all workers. Each plugin has a space of its own.

use std::time::Duration;

use crate::clock::nanoseconds;
use crate::host;

/// What a token bucket said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether the tokens were there, and taken.
    pub allowed: bool,
    /// Whole tokens that are left.
    pub remaining: u64,
    /// The time until the asked number of tokens will be there; zero when allowed.
    pub retry_after: Duration,
    /// The time until the bucket is full again.
    pub reset_after: Duration,
}

/// Takes tokens from the bucket of this key, which holds at most `burst` and refills by `rate` tokens in each `period`.
/// A new bucket is full.
#[must_use]
pub fn take(key: &str, tokens: u64, rate: u64, period: Duration, burst: u64) -> Decision {
    let decision = host::limiter::take(key, tokens, rate, nanoseconds(period), burst);
    Decision {
        allowed: decision.allowed,
        remaining: decision.remaining,
        retry_after: Duration::from_nanos(decision.retry_after),
        reset_after: Duration::from_nanos(decision.reset_after),
    }
}

/// Adds to the counter of this key and returns the new value. A counter begins at 0 and lasts `time_to_live` from its
/// first use.
pub fn add(key: &str, delta: i64, time_to_live: Duration) -> i64 {
    host::limiter::add(key, delta, nanoseconds(time_to_live))
}

/// The value of a counter; 0 where there is none.
#[must_use]
pub fn get(key: &str) -> i64 {
    host::limiter::get(key)
}
