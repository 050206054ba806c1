//! Plugins' own output, for example an access log: lines that workers append to memory and a thread writes.
//!
//! A worker never waits for a disk or a pipe. Each has a buffer of its own, whose lock only the writing thread
//! contends for, and that for the moment of a swap. What does not fit is dropped and counted.

#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use self::writer::{Sink, Writer};
use super::metrics::{Metrics, PerWorker};
use crate::config;

/// A worker's buffer that holds so much is written at once.
const FULL: usize = 64 << 10;
/// The most that a worker's buffer may hold.
const MOST: usize = 1 << 20;
/// How long a line may wait for company.
const GATHER: Duration = Duration::from_millis(100);

/// A destination for plugins' lines. It lives until the last handle is dropped; what was appended is written then.
#[derive(Debug)]
pub struct Output {
    shared: Arc<Shared>,
    thread: Thread,
}

/// What workers and the writing thread share.
#[derive(Debug)]
struct Shared {
    lanes: PerWorker<Mutex<Lane>>,
    /// A buffer is full or somebody waits: do not gather any longer.
    urgent: AtomicBool,
    /// Open the destination anew.
    reopen: AtomicBool,
    /// The output was dropped.
    stop: AtomicBool,
    flushes: Mutex<Flushes>,
    flushed: Condvar,
    metrics: Arc<Metrics>,
}

/// One worker's buffer.
#[derive(Debug, Default)]
struct Lane {
    bytes: Vec<u8>,
    lines: u64,
}

/// Flushes that were asked for, and the last one that is done.
#[derive(Debug, Default)]
struct Flushes {
    asked: u64,
    done: u64,
}

impl Output {
    /// Opens a destination and starts its thread. Plugins share outputs by way of [`Outputs`].
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or no thread can be made.
    pub fn open(destination: &config::Output, workers: usize, metrics: &Arc<Metrics>) -> io::Result<Self> {
        Self::start(Sink::open(destination)?, workers, metrics)
    }

    fn start(sink: Sink, workers: usize, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            lanes: PerWorker::new(workers),
            urgent: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            flushes: Mutex::default(),
            flushed: Condvar::new(),
            metrics: Arc::clone(metrics),
        });
        let mut writer = Writer::new(Arc::clone(&shared), sink);
        let thread = thread::Builder::new().name("gofe-output".to_owned()).spawn(move || writer.run())?;
        Ok(Self { shared, thread: thread.thread().clone() })
    }

    /// Appends a line, to which a line feed is added. False when it was dropped, because the destination does not
    /// keep up.
    pub fn write_line(&self, worker: usize, line: &[u8]) -> bool {
        let mut lane = self.shared.lanes.at(worker).lock();
        let before = lane.bytes.len();
        let after = before.saturating_add(line.len()).saturating_add(1);
        if after > MOST {
            drop(lane);
            self.shared.metrics.lines_dropped(worker, 1);
            return false;
        }
        lane.bytes.reserve(line.len() + 1);
        lane.bytes.extend_from_slice(line);
        lane.bytes.push(b'\n');
        lane.lines += 1;
        drop(lane);
        // The thread is woken twice at most between two writes: by the first line, and by the one that fills.
        if before < FULL && after >= FULL {
            self.shared.urgent.store(true, SeqCst);
            self.thread.unpark();
        } else if before == 0 {
            self.thread.unpark();
        }
        true
    }

    /// Waits until everything that was appended before is written, or lost for good. False when that took too long.
    pub fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut flushes = self.shared.flushes.lock();
        flushes.asked += 1;
        let mine = flushes.asked;
        self.shared.urgent.store(true, SeqCst);
        self.thread.unpark();
        while flushes.done < mine {
            if self.shared.flushed.wait_until(&mut flushes, deadline).timed_out() {
                return flushes.done >= mine;
            }
        }
        true
    }

    /// Opens a file anew, so that a log that was renamed can be rotated away. What was appended before goes to the
    /// old file. When the file cannot be opened the old one stays, and the log says so.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, SeqCst);
        self.shared.urgent.store(true, SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Not joined: a worker may drop the last handle, and the destination may be a pipe that nobody reads.
        self.shared.stop.store(true, SeqCst);
        self.shared.urgent.store(true, SeqCst);
        self.thread.unpark();
    }
}

/// The process's outputs: one for each destination, however many plugins write to it, across reloads.
#[derive(Debug)]
pub struct Outputs {
    workers: usize,
    metrics: Arc<Metrics>,
    open: Mutex<Vec<(config::Output, Arc<Output>)>>,
}

impl Outputs {
    /// No outputs yet.
    pub fn new(workers: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { workers, metrics, open: Mutex::default() })
    }

    /// The output of this destination, opened when it is not.
    ///
    /// # Errors
    /// When a file cannot be opened for appending, with its path in the message.
    pub fn open(&self, destination: &config::Output) -> io::Result<Arc<Output>> {
        let mut open = self.open.lock();
        if let Some((_, output)) = open.iter().find(|(known, _)| known == destination) {
            return Ok(Arc::clone(output));
        }
        let output = Arc::new(Output::open(destination, self.workers, &self.metrics)?);
        open.push((destination.clone(), Arc::clone(&output)));
        Ok(output)
    }

    /// Opens all files anew, and closes outputs that no plugin has any more. For a reload and SIGHUP.
    pub fn reopen(&self) {
        let mut open = self.open.lock();
        open.retain(|(_, output)| Arc::strong_count(output) > 1);
        open.iter().for_each(|(_, output)| output.reopen());
    }

    /// Writes everything, for the end of the process. False when a destination did not take it in time.
    pub fn flush(&self, timeout: Duration) -> bool {
        let open: Vec<_> = self.open.lock().iter().map(|(_, output)| Arc::clone(output)).collect();
        let deadline = Instant::now() + timeout;
        // Each one is tried, also after one that hangs.
        let late = open.iter().filter(|output| !output.flush(deadline.saturating_duration_since(Instant::now())));
        late.count() == 0
    }
}
