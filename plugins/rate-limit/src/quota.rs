//! What is left of a limit, and how clients are told.

use std::time::Duration;

use gofe_plugin::limiter::Decision;

/// What is left of a limit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quota {
    pub(crate) allowed: bool,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Until a request will pass again; zero when it does now.
    pub(crate) retry_after: Duration,
    /// Until the whole limit is there again.
    pub(crate) reset_after: Duration,
}

impl Quota {
    pub(crate) fn of_bucket(burst: u64, decision: &Decision) -> Self {
        Self {
            allowed: decision.allowed,
            limit: burst,
            remaining: decision.remaining,
            retry_after: decision.retry_after,
            reset_after: decision.reset_after,
        }
    }

    /// The value of `Retry-After` (RFC 9110, section 10.2.3).
    pub(crate) fn retry_seconds(&self) -> String {
        seconds(self.retry_after).max(1).to_string()
    }

    /// The headers of draft-ietf-httpapi-ratelimit-headers-06.
    pub(crate) fn headers(&self) -> [(&'static str, String); 3] {
        [
            ("ratelimit-limit", self.limit.to_string()),
            ("ratelimit-remaining", self.remaining.to_string()),
            ("ratelimit-reset", seconds(self.reset_after).to_string()),
        ]
    }

    /// The quota as an attribute: limit, remaining and seconds, between spaces.
    pub(crate) fn write(&self) -> String {
        format!("{} {} {}", self.limit, self.remaining, seconds(self.reset_after))
    }

    /// Reads what [`Quota::write`] wrote.
    pub(crate) fn read(attribute: &[u8]) -> Option<Self> {
        let mut numbers = std::str::from_utf8(attribute).ok()?.split(' ').map(|number| number.parse().ok());
        Some(Self {
            allowed: true,
            limit: numbers.next()??,
            remaining: numbers.next()??,
            retry_after: Duration::ZERO,
            reset_after: Duration::from_secs(numbers.next()??),
        })
    }
}

/// Whole seconds, rounded up.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
