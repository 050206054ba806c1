//! Clocks.

use std::time::Duration;

use crate::host;

/// The time since 1970-01-01T00:00:00Z.
#[must_use]
pub fn now() -> Duration {
    Duration::from_nanos(host::clock::now())
}

/// The time of a clock that never goes back. Only differences have a meaning.
#[must_use]
pub fn monotonic() -> Duration {
    Duration::from_nanos(host::clock::monotonic())
}

/// A duration in the host's unit; the longest one where it does not fit.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
