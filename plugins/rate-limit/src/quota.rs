//! What is left of a limit, and how clients are told.

use std::time::Duration;

use gofe_plugin::limiter::Decision;
use gofe_plugin::{Field, HeaderError, Request};

/// The header with which limits of one chain are compared.
const REMAINING: &str = "ratelimit-remaining";

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

    /// Puts the headers of draft-ietf-httpapi-ratelimit-headers-06 on the response, whoever makes it. Where the chain
    /// has several limits, those of the one that has least left.
    pub(crate) fn show(&self, request: &Request) -> Result<(), HeaderError> {
        let mut buffers = [itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new()];
        let [limit, remaining, reset] = &mut buffers;
        let before = request.prepare_response_headers(&[
            ("ratelimit-limit", limit.format(self.limit).as_bytes()),
            (REMAINING, remaining.format(self.remaining).as_bytes()),
            ("ratelimit-reset", reset.format(seconds(self.reset_after)).as_bytes()),
        ])?;
        let tighter = |(name, value): &Field| name == REMAINING && number(value).is_some_and(|n| n < self.remaining);
        if before.iter().any(tighter) {
            let before: Vec<_> = before.iter().map(|(name, value)| (&**name, &**value)).collect();
            request.prepare_response_headers(&before)?;
        }
        Ok(())
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whole seconds, rounded up.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
