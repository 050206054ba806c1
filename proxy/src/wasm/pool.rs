//! Instances that wait for work: a stack for each worker, so that workers do not wait for each other.

use std::any::Any;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::chain::Exchange;

/// The most idle instances of one plugin that a worker keeps. More are in use only while calls wait for callouts.
const MAX_IDLE: usize = 16;

/// Idle instances of one plugin.
pub struct Pool<I> {
    workers: Box<[Slot<I>]>,
}

/// One worker's stack, on a cache line of its own. The lock is there for the compiler, and for the rare moments
/// when another thread looks; nobody ever waits for it.
#[repr(align(128))]
struct Slot<I>(Mutex<Vec<I>>);

impl<I> Pool<I> {
    /// Pools for so many workers.
    pub fn new(workers: usize) -> Self {
        Self { workers: (0..workers.max(1)).map(|_| Slot(Mutex::new(Vec::new()))).collect() }
    }

    /// The instance that this worker used last: its memory is still in the cache.
    pub fn take(&self, worker: usize) -> Option<I> {
        self.slot(worker).lock().pop()
    }

    /// Gives an instance back.
    pub fn put(&self, worker: usize, instance: I) {
        let mut idle = self.slot(worker).lock();
        if idle.len() < MAX_IDLE {
            idle.push(instance);
        }
    }

    fn slot(&self, worker: usize) -> &Mutex<Vec<I>> {
        &self.workers[worker % self.workers.len()].0
    }
}

/// An instance that a request holds until its end: then it goes back to the pool, or away where there is none.
struct Held<I> {
    instance: Option<I>,
    pool: Option<Arc<Pool<I>>>,
    worker: usize,
}

impl<I> Drop for Held<I> {
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
