//! Keeps what happens at every request or connection from filling the log.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Log lines about one thing in a second.
const PER_SECOND: u64 = 10;

/// Counts lines by the second.
#[derive(Debug, Default)]
pub struct Throttle {
    /// The second in the upper half, the lines asked for in the lower.
    window: AtomicU64,
}

impl Throttle {
    /// Nothing was written yet.
    pub const fn new() -> Self {
        Self { window: AtomicU64::new(0) }
    }

    /// Whether a line may be written, and how many were left out in the window before this one.
    pub fn admit(&self) -> Option<u64> {
        static START: OnceLock<Instant> = OnceLock::new();
        self.admit_at(START.get_or_init(Instant::now).elapsed().as_secs() & u64::from(u32::MAX))
    }

    fn admit_at(&self, second: u64) -> Option<u64> {
        let next = |window: u64| if window >> 32 == second { window + 1 } else { (second << 32) + 1 };
        let window = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |window| Some(next(window)));
        let window = window.unwrap_or_else(|window| window);
        let asked = window & u64::from(u32::MAX);
        if window >> 32 == second { (asked < PER_SECOND).then_some(0) } else { Some(asked.saturating_sub(PER_SECOND)) }
    }
}

#[cfg(test)]
mod tests {
    use super::{PER_SECOND, Throttle};

    #[test]
    fn lines_past_the_limit_are_left_out_and_counted_in_the_next_second() {
        let throttle = Throttle::default();
        let written = (0..PER_SECOND + 5).filter(|_| throttle.admit_at(7).is_some()).count() as u64;
        assert_eq!(written, PER_SECOND);
        assert_eq!(throttle.admit_at(8), Some(5));
        assert_eq!(throttle.admit_at(8), Some(0));
    }
}
