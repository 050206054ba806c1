//! Filters between the two ends of a connection: what the client says goes through them in the order of the chain, what
//! the upstream says in reverse.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tracing::{debug, warn};

use super::super::tunnel::{BUFFER, Moved, while_moving};
use crate::chain::{Fault, Filter as _, Passenger, Passing, Way};
use crate::config::OnError;
use crate::net::Stream;
use crate::snapshot::Step;
use crate::telemetry::Throttle;
use crate::upstream::Connected;
use crate::wasm::Connection;

/// The filter closed the connection.
const CLOSED: &str = "closed-by-plugin";
/// A filter failed whose connections shall end then.
const FAILED: &str = "plugin-error";
const BROKE_OFF: &str = "tunnel-broke-off";

/// A filter of one connection.
pub(super) struct Filter {
    connection: Connection,
    /// Each way on its own: it failed, and is left out from now on.
    out: [bool; 2],
}

/// Begins a connection with each filter, in their order; the word for how it ends where one does not let it in.
pub(super) async fn begin(steps: &[Arc<Step>], passenger: &Passenger) -> Result<Vec<Filter>, &'static str> {
    let mut filters = Vec::with_capacity(steps.len());
    for step in steps {
        match step.connect(passenger).await {
            Ok(Some(connection)) => filters.push(Filter { connection, out: [false; 2] }),
            Ok(None) => {
                end(filters, [false; 2]);
                return Err(CLOSED);
            }
            Err(fault) => {
                told(step.name(), &fault);
                if step.on_error() == OnError::FailClosed {
                    end(filters, [false; 2]);
                    return Err(FAILED);
                }
            }
        }
    }
    Ok(filters)
}

/// Tells the filters that the connection is over: which sides their peers have closed, and which gofe did.
pub(super) fn end(filters: Vec<Filter>, by_peer: [bool; 2]) {
    for mut filter in filters {
        if filter.out == [false; 2] {
            filter.connection.closed(Way::Downstream, by_peer[Way::Downstream as usize]);
            filter.connection.closed(Way::Upstream, by_peer[Way::Upstream as usize]);
        }
    }
}

/// Passes bytes both ways, through the filters, until both ways have ended or nothing moves any more.
pub(super) async fn pass(
    client: Stream,
    first: Vec<u8>,
    connected: Connected,
    filters: Vec<Filter>,
    idle: Duration,
) -> &'static str {
    filters.iter().for_each(|filter| filter.connection.reached(&connected.endpoint));
    let (from_client, to_client) = split(client);
    let (from_upstream, to_upstream) = split(connected.stream);
    let moved = Moved::default();
    // Both ways run in one task, so that nobody ever waits for this.
    let filters = Mutex::new(filters);
    let up = Flow { way: Way::Downstream, filters: &filters, moved: &moved };
    let down = Flow { way: Way::Upstream, filters: &filters, moved: &moved };
    let ended = Mutex::new([false; 2]);
    let both = async {
        let up = async {
            let done = up.run(from_client, to_upstream, BytesMut::from(&*first)).await;
            ended.lock()[Way::Downstream as usize] = done.is_ok();
            done
        };
        let down = async {
            let done = down.run(from_upstream, to_client, BytesMut::new()).await;
            ended.lock()[Way::Upstream as usize] = done.is_ok();
            done
        };
        tokio::try_join!(up, down).map_or_else(|end| end, |_| "closed")
    };
    let word = while_moving(both, &moved, idle).await;
    end(filters.into_inner(), ended.into_inner());
    debug!(endpoint = &*connected.endpoint, end = word, "a connection was passed");
    word
}

/// One of the two ways.
struct Flow<'a> {
    way: Way,
    filters: &'a Mutex<Vec<Filter>>,
    moved: &'a Moved,
}

/// What goes on, behind the filters.
type Through = Result<(BytesMut, bool), &'static str>;

impl Flow<'_> {
    async fn run(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        first: BytesMut,
    ) -> Result<(), &'static str> {
        let broken = |_: io::Error| BROKE_OFF;
        let mut through = if first.is_empty() { (first, false) } else { self.through(0, first, false)? };
        let mut over = false;
        loop {
            let (bytes, end) = through;
            if !bytes.is_empty() {
                to.write_all(&bytes).await.map_err(broken)?;
                to.flush().await.map_err(broken)?;
                self.moved.add(self.way, bytes.len());
            }
            if end {
                return to.shutdown().await.map_err(broken);
            }
            if self.took_long() {
                tokio::task::yield_now().await;
            }
            let mut chunk = BytesMut::new();
            through = tokio::select! {
                biased;
                let_go = poll_fn(|cx| self.poll_let_go(cx)) => let_go?,
                read = async { chunk.reserve(BUFFER); from.read_buf(&mut chunk).await }, if !over => {
                    over = read.map_err(broken)? == 0;
                    // What is held back has moved too.
                    self.moved.add(self.way, chunk.len());
                    self.through(0, chunk, over)?
                }
            };
        }
    }

    /// Whether a filter took so long that others on this worker should have their turn.
    fn took_long(&self) -> bool {
        self.filters.lock().iter_mut().fold(false, |long, filter| filter.connection.took_long() | long)
    }

    /// Shows bytes to the filters from this one on, in the order of their way.
    fn through(&self, from: usize, mut bytes: BytesMut, mut end: bool) -> Through {
        let mut filters = self.filters.lock();
        for nth in from..filters.len() {
            if bytes.is_empty() && !end {
                break;
            }
            let filter = self.nth(&mut filters, nth);
            if !filter.out[self.way as usize] {
                let passing = filter.connection.data(self.way, bytes, end);
                (bytes, end) = self.judge(filter, passing)?;
            }
        }
        Ok((bytes, end))
    }

    /// Waits until a filter lets go what it holds back, and shows that to those behind it.
    fn poll_let_go(&self, cx: &std::task::Context<'_>) -> Poll<Through> {
        let mut filters = self.filters.lock();
        for nth in 0..filters.len() {
            let filter = self.nth(&mut filters, nth);
            if filter.out[self.way as usize] {
                continue;
            }
            if let Poll::Ready(passing) = filter.connection.poll_let_go(self.way, cx) {
                let (bytes, end) = match self.judge(filter, passing) {
                    Ok(passed) => passed,
                    Err(end) => return Poll::Ready(Err(end)),
                };
                drop(filters);
                return Poll::Ready(self.through(nth + 1, bytes, end));
            }
        }
        Poll::Pending
    }

    fn nth<'f>(&self, filters: &'f mut [Filter], nth: usize) -> &'f mut Filter {
        let at = match self.way {
            Way::Downstream => nth,
            Way::Upstream => filters.len() - 1 - nth,
        };
        &mut filters[at]
    }

    fn judge(&self, filter: &mut Filter, passing: Passing) -> Through {
        match passing {
            Passing::On(bytes, end) => Ok((bytes, end)),
            Passing::Close => Err(CLOSED),
            Passing::Fault(fault, held, end) => {
                told(filter.connection.name(), &fault);
                match filter.connection.on_error() {
                    OnError::FailClosed => Err(FAILED),
                    OnError::FailOpen => {
                        filter.out[self.way as usize] = true;
                        Ok((held, end))
                    }
                }
            }
        }
    }
}

fn told(plugin: &str, fault: &Fault) {
    static LINES: Throttle = Throttle::new();
    if let Some(left_out) = LINES.admit() {
        warn!(plugin, kind = fault.kind.name(), left_out, "plugin failed with a connection: {}", fault.message);
    }
}
