//! The sliding window: the requests of the last period, estimated from two fixed windows.
//!
//! The estimate is the counter of the present window, and of the last one the share that the sliding window still
//! covers. It takes two counters a key, however high the limit.

use std::time::Duration;

use gofe_plugin::{clock, limiter};

use crate::quota::Quota;
use crate::rate::Rate;

/// Counts a request, unless it is over the limit.
pub(crate) fn count(key: &str, rate: Rate) -> Quota {
    let (now, period) = (clock::now().as_nanos(), rate.period.as_nanos());
    let (window, elapsed) = (now / period, now % period);
    let lifetime = rate.period * 2;
    let present_key = format!("{key}@{window}");
    let last = limiter::get(&format!("{key}@{}", window.saturating_sub(1)));
    let present = limiter::add(&present_key, 1, lifetime);
    let mut state = State { last: positive(last), present: positive(present), elapsed, period };
    let allowed = state.estimate() <= u128::from(rate.requests);
    if !allowed {
        // A refused request does not count, or a client that keeps trying would never pass again.
        limiter::add(&present_key, -1, lifetime);
        state.present = state.present.saturating_sub(1);
    }
    Quota {
        allowed,
        limit: rate.requests,
        remaining: u64::try_from(u128::from(rate.requests).saturating_sub(state.estimate())).unwrap_or(u64::MAX),
        retry_after: if allowed { Duration::ZERO } else { duration(state.wait(u128::from(rate.requests))) },
        reset_after: duration(period - elapsed),
    }
}

struct State {
    last: u128,
    present: u128,
    /// Nanoseconds since the present window began.
    elapsed: u128,
    period: u128,
}

impl State {
    /// Requests in the period that ends now, rounded up.
    fn estimate(&self) -> u128 {
        self.present + (self.last * (self.period - self.elapsed)).div_ceil(self.period)
    }

    /// Nanoseconds until one more request fits.
    fn wait(&self, limit: u128) -> u128 {
        let room = limit.saturating_sub(1);
        if self.present <= room {
            return faded(self.last, room - self.present, self.period).saturating_sub(self.elapsed);
        }
        self.period - self.elapsed + faded(self.present, room, self.period)
    }
}

/// Nanoseconds into a window until no more than `room` of the `count` requests of the window before are covered.
fn faded(count: u128, room: u128, period: u128) -> u128 {
    if count <= room { 0 } else { period - room * period / count }
}

fn positive(counter: i64) -> u128 {
    u128::try_from(counter).unwrap_or(0)
}

fn duration(nanoseconds: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}
