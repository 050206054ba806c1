//! Instances that wait for work: a stack for each worker, so that workers do not wait for each other.

use std::any::Any;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::chain::Exchange;

/// The idle instances of one plugin that a worker keeps for good.
const KEPT: usize = 16;
/// How often a worker that has more of them looks whether it needs them.
const REVIEW: Duration = Duration::from_secs(1);
/// The most instances that are thrown away in one go, as requests wait meanwhile.
const RELEASED: usize = 32;

/// Idle instances of one plugin.
pub struct Pool<I> {
    workers: Box<[Slot<I>]>,
}

/// One worker's stack, on a cache line of its own. The lock is there for the compiler, and for the rare moments
/// when another thread looks; nobody ever waits for it.
#[repr(align(128))]
struct Slot<I>(Mutex<Idle<I>>);

/// What one worker keeps. Where requests hold instances while they wait for their upstream, as many are in use in one
/// moment as the worker has requests, and idle in the next: they are kept as long as that goes on.
struct Idle<I> {
    instances: Vec<I>,
    /// The fewest that were idle since the last review: so many were not needed.
    least: usize,
    /// A task reviews this stack.
    reviewed: bool,
}

impl<I> Pool<I> {
    /// Pools for so many workers.
    pub fn new(workers: usize) -> Self {
        let slot = |_| Slot(Mutex::new(Idle { instances: Vec::new(), least: 0, reviewed: false }));
        Self { workers: (0..workers.max(1)).map(slot).collect() }
    }

    /// The instance that this worker used last: its memory is still in the cache.
    pub fn take(&self, worker: usize) -> Option<I> {
        let mut idle = self.slot(worker).lock();
        let instance = idle.instances.pop();
        idle.least = idle.least.min(idle.instances.len());
        instance
    }

    fn slot(&self, worker: usize) -> &Mutex<Idle<I>> {
        &self.workers[worker % self.workers.len()].0
    }

    /// Takes away what was not needed since the last review. False when no further review is needed.
    fn review(&self, worker: usize) -> (Vec<I>, bool) {
        let mut idle = self.slot(worker).lock();
        let surplus = idle.least.saturating_sub(KEPT).min(RELEASED);
        // Those at the bottom of the stack were idle for longest.
        let surplus = idle.instances.drain(..surplus).collect();
        idle.least = idle.instances.len();
        idle.reviewed = idle.instances.len() > KEPT;
        (surplus, idle.reviewed)
    }
}

impl<I: Send + 'static> Pool<I> {
    /// Gives an instance back.
    pub fn put(self: &Arc<Self>, worker: usize, instance: I) {
        let mut idle = self.slot(worker).lock();
        if idle.instances.len() >= KEPT && !idle.reviewed {
            // Where no runtime is, nobody could throw it away later.
            let Ok(runtime) = Handle::try_current() else { return };
            idle.reviewed = true;
            idle.least = KEPT;
            runtime.spawn(reviews(Arc::downgrade(self), worker));
        }
        idle.instances.push(instance);
    }
}

/// Reviews a worker's stack until it is small again, or the plugin is gone.
async fn reviews<I: Send>(pool: Weak<Pool<I>>, worker: usize) {
    loop {
        tokio::time::sleep(REVIEW).await;
        let Some(pool) = pool.upgrade() else { return };
        let (surplus, more) = pool.review(worker);
        drop(surplus);
        if !more {
            return;
        }
    }
}

/// An instance that a request holds until its end: then it goes back to the pool, or away where there is none.
struct Held<I: Send + 'static> {
    instance: Option<I>,
    pool: Option<Arc<Pool<I>>>,
    worker: usize,
}

impl<I: Send + 'static> Drop for Held<I> {
    fn drop(&mut self) {
        if let (Some(instance), Some(pool)) = (self.instance.take(), &self.pool) {
            pool.put(self.worker, instance);
        }
    }
}

/// Lets a request hold an instance of the plugin with this identity.
pub(super) fn hold<I: Send + 'static>(exchange: &mut Exchange, plugin: usize, instance: I, pool: Option<Arc<Pool<I>>>) {
    let held = Held { instance: Some(instance), pool, worker: exchange.client.worker };
    let held: Box<dyn Any + Send> = Box::new(held);
    exchange.leases.push((plugin, held));
}

/// The instance of the plugin with this identity that a request holds.
pub(super) fn held<I: Send + 'static>(exchange: &mut Exchange, plugin: usize) -> Option<I> {
    let at = exchange.leases.iter().position(|(holder, _)| *holder == plugin)?;
    let mut held = exchange.leases.swap_remove(at).1.downcast::<Held<I>>().ok()?;
    held.instance.take()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{KEPT, Pool, RELEASED};

    #[test]
    fn the_one_used_last_is_taken_first() {
        let pool = Arc::new(Pool::new(2));
        pool.put(0, "a");
        pool.put(0, "b");
        assert_eq!((pool.take(0), pool.take(1), pool.take(0), pool.take(0)), (Some("b"), None, Some("a"), None));
    }

    #[tokio::test]
    async fn as_many_are_kept_as_were_in_use_and_no_longer_than_that() {
        let pool = Arc::new(Pool::new(1));
        let all = KEPT + 3 * RELEASED / 2;
        (0..all).for_each(|instance| pool.put(0, instance));
        for _ in 0..3 {
            let taken: Vec<_> = std::iter::from_fn(|| pool.take(0)).collect();
            assert_eq!(taken.len(), all);
            taken.into_iter().for_each(|instance| pool.put(0, instance));
            assert!(pool.review(0).0.is_empty());
        }
        // Nobody takes any.
        let (first, second) = (pool.review(0), pool.review(0));
        assert_eq!((first.0.len(), first.1), (RELEASED, true));
        assert_eq!((second.0.len(), second.1), (all - RELEASED - KEPT, false));
    }

    #[test]
    fn without_a_runtime_no_more_are_kept_than_for_good() {
        let pool = Arc::new(Pool::new(1));
        (0..KEPT + 5).for_each(|instance| pool.put(0, instance));
        assert_eq!(std::iter::from_fn(|| pool.take(0)).count(), KEPT);
    }
}
