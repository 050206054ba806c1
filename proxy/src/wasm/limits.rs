//! What a guest may use: execution time and memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::clock::TICK;

/// How long a plugin may take to configure itself.
pub(super) const CONFIGURE_TIME: Duration = Duration::from_secs(1);

/// The ticks that a time takes, the last of which may not be whole. It is asked for with each call, so it does without
/// numbers of 128 bits.
fn ticks(time: Duration) -> u64 {
    const TICK_NANOS: u32 = TICK.subsec_nanos();
    const SECOND: u64 = (1_000_000_000 / TICK_NANOS) as u64;
    time.as_secs().saturating_mul(SECOND).saturating_add(time.subsec_nanos().div_ceil(TICK_NANOS).into())
}

/// A guest's execution time, counted in ticks of the engine's clock. Time in which the guest does not run (another
/// task has the worker, or a callout is on its way) has no ticks.
#[derive(Debug, Default)]
pub(super) struct Budget {
    left: u64,
    /// The guest was away in a host function while the clock went on: the next tick is not its own.
    pub(super) away: bool,
    /// Ticks that passed while the guest ran.
    ticks: u32,
    /// What was granted.
    granted: u64,
    /// Set by whoever sees the guest's work go on: the budget is then granted anew.
    pub(super) renewed: Option<Arc<AtomicBool>>,
}

impl Budget {
    /// A new budget. The first tick comes at any time after the start, so it is not counted.
    pub(super) fn grant(&mut self, time: Duration) {
        self.granted = ticks(time) + 1;
        self.left = self.granted;
        self.away = false;
        self.ticks = 0;
    }

    /// One tick passed while the guest ran; false when that was the last.
    pub(super) fn tick(&mut self) -> bool {
        if std::mem::take(&mut self.away) {
            return true;
        }
        if self.renewed.as_ref().is_some_and(|renewed| renewed.swap(false, Relaxed)) {
            self.left = self.granted;
        }
        self.ticks += 1;
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }

    /// Whether the guest ran for longer than a tick. The first one may come right after the start, the second does not come
    /// sooner than a tick's time after the first.
    pub(super) fn overran(&self) -> bool {
        self.ticks > 1
    }

    /// Whether the time is used up.
    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }
}

/// Caps the memory of one instance.
#[derive(Debug)]
pub(super) struct MemoryCap {
    /// The most bytes of linear memory.
    limit: usize,
    /// Bytes that the guest has now.
    pub(super) used: usize,
    /// Whether the guest asked for more than it may have.
    pub(super) exceeded: bool,
}

/// The most elements of a guest's tables: function pointers of a language runtime.
const MAX_TABLE_ELEMENTS: usize = 20_000;

impl MemoryCap {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, used: 0, exceeded: false }
    }
}

impl ResourceLimiter for MemoryCap {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used - current.min(self.used) + desired;
        if used > self.limit {
            self.exceeded = true;
            return Ok(false);
        }
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS && maximum.is_none_or(|most| desired <= most))
    }
}
