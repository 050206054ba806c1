//! What an instance has to do, which decides when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Waker;
use std::time::Instant;

use parking_lot::Mutex;

use super::super::clock::Clock;
use super::call::Call;

/// The requests of an instance.
pub(super) struct Life {
    work: Mutex<Work>,
    /// The guest's execution time is granted anew.
    pub(super) renewed: Arc<AtomicBool>,
    clock: Arc<Clock>,
}

struct Work {
    /// Requests whose response has not ended.
    calls: Vec<Arc<Call>>,
    /// When the last of them ended.
    since: Instant,
    /// One of them was given up.
    given_up: bool,
    /// The instance ends because nobody needs it, which is no fault.
    expired: bool,
    /// Who wants to know of changes.
    waker: Option<Waker>,
}

/// What an instance has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// There are requests.
    Requests,
    /// There are none since then, and all were answered.
    None(Instant),
    /// There are none, and one was given up: the guest may work on for nobody.
    GivenUp,
}

impl Life {
    pub(super) fn new(clock: Arc<Clock>) -> Arc<Self> {
        let work = Work { calls: Vec::new(), since: Instant::now(), given_up: false, expired: false, waker: None };
        Arc::new(Self { work: Mutex::new(work), renewed: Arc::default(), clock })
    }

    /// A request begins.
    pub(super) fn begin(&self, call: Arc<Call>) {
        self.work.lock().calls.push(call);
        self.goes_on();
    }

    /// A request ends: its response has ended, or it was given up.
    pub(super) fn end(&self, call: &Call, whole: bool) {
        let mut work = self.work.lock();
        work.calls.retain(|known| !std::ptr::eq(&**known, call));
        work.since = Instant::now();
        work.given_up |= !whole;
        let waker = work.waker.take();
        drop(work);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The work on a request goes on: the guest gets its time anew, and its clock ticks.
    pub(super) fn goes_on(&self) {
        self.renewed.store(true, Relaxed);
        self.clock.hurry();
    }

    /// Requests whose response has not ended.
    pub(super) fn open(&self) -> usize {
        self.work.lock().calls.len()
    }

    /// What there is to do; `waker` learns of changes.
    pub(super) fn need(&self, waker: &Waker) -> Need {
        let mut work = self.work.lock();
        work.waker = Some(waker.clone());
        match (work.calls.is_empty(), work.given_up) {
            (false, _) => Need::Requests,
            (true, true) => Need::GivenUp,
            (true, false) => Need::None(work.since),
        }
    }

    /// Nobody needs the instance any more.
    pub(super) fn expire(&self) {
        self.work.lock().expired = true;
    }

    /// The instance is gone: the requests that it leaves, and whether it ended because nobody needs it.
    pub(super) fn gone(&self) -> (Vec<Arc<Call>>, bool) {
        let mut work = self.work.lock();
        (std::mem::take(&mut work.calls), work.expired)
    }
}
