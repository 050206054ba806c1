//! Instances that wait for work: a stack for each worker, so that workers do not wait for each other.

use parking_lot::Mutex;

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
