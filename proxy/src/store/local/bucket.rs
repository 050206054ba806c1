//! A token bucket as one number: GCRA, the generic cell rate algorithm.
//!
//! A bucket that refills at a steady rate is known by the moment at which it will be full again. Taking a token
//! moves that moment on by the time that one token takes to come; the bucket is empty where the moment is as far
//! away as a whole bucket takes. So one compare-and-swap decides, and no thread waits for another.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::super::{Decision, NEVER};

/// Times beyond this are as good as for ever, and their sums stay in 64 bits.
const FOREVER: u64 = 1 << 62;

/// What a bucket holds and how it refills, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Until one token has come.
    interval: u64,
    /// Until an empty bucket is full.
    window: u64,
    burst: u64,
}

impl Rule {
    /// The rule of a bucket of `burst` tokens that gains `rate` of them in each `period`. The interval is rounded
    /// up, so that it never gains more. One that never gains any holds none.
    pub(super) fn new(rate: u64, period: Duration, burst: u64) -> Self {
        let interval = match rate {
            0 => FOREVER,
            rate => period.as_nanos().div_ceil(u128::from(rate)).min(u128::from(FOREVER)) as u64,
        };
        let burst = if interval == FOREVER { 0 } else { burst };
        Self { interval, window: product(burst, interval), burst }
    }
}

/// A bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    full_at: AtomicU64,
    window: AtomicU64,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(rule: &Rule) -> Self {
        Self { full_at: AtomicU64::new(0), window: AtomicU64::new(rule.window) }
    }

    /// How long a bucket may take from now until it is full.
    pub(super) fn window(&self) -> Duration {
        Duration::from_nanos(self.window.load(Relaxed))
    }

    /// Takes `tokens`, or nothing.
    pub(super) fn take(&self, now: u64, tokens: u64, rule: &Rule) -> Decision {
        self.adopt(now, rule);
        let cost = product(tokens, rule.interval);
        let mut full_at = self.full_at.load(Relaxed);
        loop {
            let after = full_at.max(now) + cost;
            let allowed = tokens <= rule.burst && after - now <= rule.window;
            if !allowed || tokens == 0 {
                return decision(allowed, full_at.saturating_sub(now), cost, tokens, rule);
            }
            match self.full_at.compare_exchange_weak(full_at, after, Relaxed, Relaxed) {
                Ok(_) => return decision(true, after - now, 0, tokens, rule),
                Err(seen) => full_at = seen,
            }
        }
    }

    /// Where the rule is another than before, a debt larger than its whole bucket is forgiven: it was made under
    /// a slower rate or a larger burst, and would shut the key out for longer than the new rule ever does.
    fn adopt(&self, now: u64, rule: &Rule) {
        if self.window.load(Relaxed) != rule.window && self.window.swap(rule.window, Relaxed) != rule.window {
            self.full_at.fetch_min(now + rule.window, Relaxed);
        }
    }
}

/// The decision where `debt` is missing from a full bucket, and taking would cost `cost` more.
fn decision(allowed: bool, debt: u64, cost: u64, tokens: u64, rule: &Rule) -> Decision {
    let left = rule.window.saturating_sub(debt);
    let retry_after = match allowed {
        true => Duration::ZERO,
        false if tokens > rule.burst => NEVER,
        false => Duration::from_nanos((debt + cost).saturating_sub(rule.window)),
    };
    Decision {
        allowed,
        // An interval of zero refills at once: nothing is ever missing.
        remaining: left.checked_div(rule.interval).unwrap_or(rule.burst).min(rule.burst),
        retry_after,
        reset_after: Duration::from_nanos(debt),
    }
}

fn product(tokens: u64, interval: u64) -> u64 {
    tokens.saturating_mul(interval).min(FOREVER)
}
