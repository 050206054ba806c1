//! When an instance ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::Sleep;
use wasmtime_wasi_http::handler::{WorkerExpiration, WorkerStatus};

use super::life::{Life, Need};

/// How long a guest may go on after the end of its last response: to write its log, or to send what it still has to.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// How long a guest of 0.2 that is done is kept for the end of its response.
const UNREAD: Duration = Duration::from_secs(1);

/// Ends an instance that nobody needs.
pub(super) struct Expiry {
    life: Arc<Life>,
    /// How long one without requests is kept.
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    /// Until when the timer runs.
    end: Instant,
    /// Ready when the version of the component is not used any more.
    retired: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    is_retired: bool,
    /// It serves one request at a time, to the end.
    alone: bool,
}

impl Expiry {
    pub(super) fn new(life: Arc<Life>, idle: Duration, alone: bool, mut used: watch::Receiver<()>) -> Self {
        // Nothing is ever sent: it ends when the sender is dropped.
        let retired = Box::pin(async move { while used.changed().await.is_ok() {} });
        let timer = Box::pin(tokio::time::sleep(idle));
        Self { life, idle, timer, end: Instant::now() + idle, retired, is_retired: false, alone }
    }
}

impl WorkerExpiration for Expiry {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, status: WorkerStatus, start: Instant) -> Poll<()> {
        let this = self.get_mut();
        this.is_retired = this.is_retired || this.retired.as_mut().poll(cx).is_ready();
        let end = match (this.life.need(cx.waker()), status) {
            // A guest of 0.2 that is done, well or by a trap, adds nothing to its response. What it has written is out of
            // its hands, and what it has not will break off.
            (Need::Requests, WorkerStatus::PostReturn | WorkerStatus::Idle) if this.alone => Some(start + UNREAD),
            (Need::Requests, _) => return Poll::Pending,
            (Need::GivenUp, _) => None,
            (Need::None(_), WorkerStatus::Idle) => (!this.is_retired).then(|| start + this.idle),
            (Need::None(since), WorkerStatus::Requests | WorkerStatus::PostReturn) => Some(since + AFTERWARDS),
        };
        if let Some(end) = end {
            if end != this.end {
                this.end = end;
                this.timer.as_mut().reset(end.into());
            }
            ready!(this.timer.as_mut().poll(cx));
        }
        this.life.expire();
        Poll::Ready(())
    }
}
