//! The time that entries live by.

use std::time::Instant;

#[cfg(test)]
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
#[cfg(test)]
use std::time::Duration;

/// Nanoseconds since some moment before the first entry; never goes back.
#[derive(Debug, Clone)]
pub(super) enum Clock {
    /// The system's.
    System(Instant),
    /// A test's.
    #[cfg(test)]
    Manual(Arc<AtomicU64>),
}

impl Default for Clock {
    fn default() -> Self {
        Self::System(Instant::now())
    }
}

impl Clock {
    /// The time.
    pub(super) fn now(&self) -> u64 {
        match self {
            // 64 bits of nanoseconds last for 584 years.
            Self::System(start) => start.elapsed().as_nanos() as u64,
            #[cfg(test)]
            Self::Manual(now) => now.load(Relaxed),
        }
    }

    /// A clock that stands still.
    #[cfg(test)]
    pub(super) fn manual() -> Self {
        Self::Manual(Arc::new(AtomicU64::new(0)))
    }

    /// Moves a clock that stands still.
    #[cfg(test)]
    pub(super) fn advance(&self, by: Duration) {
        if let Self::Manual(now) = self {
            now.fetch_add(by.as_nanos() as u64, Relaxed);
        }
    }
}
