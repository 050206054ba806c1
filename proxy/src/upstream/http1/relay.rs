//! Wakes whoever drives a connection, as long as it waits for the connection.
//!
//! hyper wakes whoever polled a connection last, also for what the same task does to it meanwhile: it puts a request in, or
//! takes a part of a response's body out. The task would run once more after each response, and find nothing. And it would
//! run for another's request, when the connection has gone on to that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// Stands between a connection and the task that holds it.
pub(super) struct Relay {
    target: Arc<Target>,
    waker: Waker,
}

/// The task, and whether it wants to be woken.
#[derive(Default)]
struct Target {
    listens: AtomicBool,
    /// It was to be woken while it did not listen.
    missed: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Relay {
    /// Wakes nobody.
    pub(super) fn new() -> Self {
        let target = Arc::new(Target::default());
        Self { waker: Waker::from(Arc::clone(&target)), target }
    }

    /// What the connection is polled with.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// The task is to be woken from now on. It is about to poll the connection: whatever it missed, it learns now.
    pub(super) fn listen(&self, task: &Waker) {
        let mut known = self.target.task.lock();
        if !known.as_ref().is_some_and(|known| known.will_wake(task)) {
            *known = Some(task.clone());
        }
        self.target.missed.store(false, Relaxed);
        self.target.listens.store(true, Relaxed);
    }

    /// Nobody is to be woken.
    pub(super) fn hush(&self) {
        self.target.listens.store(false, Relaxed);
    }

    /// Takes something from the connection. Where it was not there, the task waits on; and where it was, the task polls
    /// the connection when it wants more.
    pub(super) fn take<T>(&self, take: impl FnOnce() -> Poll<T>) -> Poll<T> {
        let listened = self.target.listens.swap(false, Relaxed);
        let taken = take();
        if taken.is_pending() && listened {
            self.target.listens.store(true, Relaxed);
            if self.target.missed.swap(false, Relaxed) {
                self.target.wake_by_ref();
            }
        }
        taken
    }
}

impl Wake for Target {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.listens.load(Relaxed) {
            self.missed.store(true, Relaxed);
        } else if let Some(task) = &*self.task.lock() {
            task.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_task_is_woken_while_it_waits_and_not_for_what_it_takes_itself() {
        let (relay, woken) = (Relay::new(), Arc::new(Woken::default()));
        let task = Waker::from(Arc::clone(&woken));
        let wake = || relay.context().waker().wake_by_ref();
        let times = || woken.0.load(Relaxed);
        wake();
        assert_eq!(times(), 0, "nobody listens");
        relay.listen(&task);
        wake();
        assert_eq!(times(), 1);
        let taken = relay.take(|| {
            wake();
            Poll::Ready(())
        });
        assert!(taken.is_ready() && times() == 1, "it has what it wanted");
        wake();
        assert_eq!(times(), 1, "it polls when it wants more");
        relay.listen(&task);
        let taken = relay.take(|| {
            wake();
            Poll::<()>::Pending
        });
        assert!(taken.is_pending() && times() == 2, "it waits, and something has happened");
        relay.hush();
        wake();
        assert_eq!(times(), 2);
    }
}
