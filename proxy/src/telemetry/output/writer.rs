//! The thread that writes an output's lines.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use super::{GATHER, Lane, Shared};
use crate::config;

/// How often a failing destination is worth a line in the log.
const QUIET: Duration = Duration::from_secs(60);
/// How long to wait for a destination that would block.
const AGAIN: Duration = Duration::from_millis(10);
/// A buffer that has grown beyond this is given back after use.
const KEEP: usize = 256 << 10;

/// Where lines go.
pub(super) struct Sink {
    target: Box<dyn Write + Send>,
    /// What to open anew; none for what is not a file.
    path: Option<PathBuf>,
    name: String,
}

impl Sink {
    pub(super) fn open(destination: &config::Output) -> io::Result<Self> {
        // Not `io::stdout()` itself, which would look for the ends of lines and hold its lock while it blocks.
        let descriptor = |fd: io::Result<std::os::fd::OwnedFd>| fd.map(|fd| Box::new(File::from(fd)));
        let (target, path, name) = match destination {
            config::Output::Stdout => {
                (descriptor(io::stdout().as_fd().try_clone_to_owned())?, None, "stdout".to_owned())
            }
            config::Output::Stderr => {
                (descriptor(io::stderr().as_fd().try_clone_to_owned())?, None, "stderr".to_owned())
            }
            config::Output::File(path) => {
                let name = path.display().to_string();
                let file = append(path).map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
                (Box::new(file), Some(path.clone()), name)
            }
        };
        Ok(Self { target, path, name })
    }

    #[cfg(test)]
    pub(super) fn to(target: impl Write + Send + 'static) -> Self {
        Self { target: Box::new(target), path: None, name: "test".to_owned() }
    }
}

fn append(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// The thread's own state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    sink: Sink,
    /// Swapped with each lane in turn, so that appending goes on while this is written.
    spare: Lane,
    /// The last write stopped within a line: the next one must not go on in it.
    torn: bool,
    complained: Option<Instant>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, sink: Sink) -> Self {
        Self { shared, sink, spare: Lane::default(), torn: false, complained: None }
    }

    /// Writes until the output is dropped. Idle, the thread is parked without a timeout. An `unpark` that comes
    /// while it is not parked makes the next `park` return at once, so that none is lost.
    pub(super) fn run(&mut self) {
        loop {
            self.gather();
            self.shared.urgent.store(false, SeqCst);
            // All three are read before the lanes: what was appended before they were set is then in this round.
            let stop = self.shared.stop.load(SeqCst);
            let reopen = self.shared.reopen.swap(false, SeqCst);
            let asked = self.shared.flushes.lock().asked;
            for index in 0..self.shared.lanes.iter().count() {
                self.drain(index);
            }
            if reopen {
                self.reopen();
            }
            self.shared.flushes.lock().done = asked;
            self.shared.flushed.notify_all();
            if stop {
                return;
            }
        }
    }

    /// Waits for a first line, then for more, but not for long.
    fn gather(&self) {
        while !self.shared.urgent.load(SeqCst) && self.is_idle() {
            thread::park();
        }
        let deadline = Instant::now() + GATHER;
        while !self.shared.urgent.load(SeqCst) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }

    fn is_idle(&self) -> bool {
        self.shared.lanes.iter().all(|lane| lane.lock().bytes.is_empty())
    }

    /// Writes what one lane holds.
    fn drain(&mut self, index: usize) {
        std::mem::swap(&mut *self.shared.lanes.at(index).lock(), &mut self.spare);
        if self.spare.bytes.is_empty() {
            return;
        }
        let lane = std::mem::take(&mut self.spare);
        if let Err((written, error)) = self.write(&lane.bytes) {
            let whole = lane.bytes[..written].iter().filter(|byte| **byte == b'\n').count();
            let lost = lane.lines.saturating_sub(u64::try_from(whole).unwrap_or(u64::MAX));
            self.torn = written > 0 && lane.bytes[written - 1] != b'\n' || written == 0 && self.torn;
            self.shared.metrics.lines_dropped(index, lost);
            self.complain(&error, lost);
        }
        self.spare = Lane { bytes: lane.bytes, lines: 0 };
        self.spare.bytes.clear();
        self.spare.bytes.shrink_to(KEEP);
    }

    /// Writes all bytes, or says how many of them were written.
    fn write(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.torn {
            self.write_all(b"\n").map_err(|(_, error)| (0, error))?;
            self.torn = false;
        }
        self.write_all(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < bytes.len() {
            match self.sink.target.write(&bytes[written..]) {
                Ok(0) => return Err((written, ErrorKind::WriteZero.into())),
                Ok(n) => written += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody made the descriptor non-blocking, as shells do with a shared terminal.
                Err(error) if error.kind() == ErrorKind::WouldBlock && !self.shared.stop.load(SeqCst) => {
                    thread::park_timeout(AGAIN);
                }
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    fn reopen(&mut self) {
        let Some(path) = &self.sink.path else { return };
        match append(path) {
            Ok(file) => {
                self.sink.target = Box::new(file);
                self.torn = false;
            }
            Err(error) => tracing::error!(output = self.sink.name, %error, "cannot open a plugin's output anew"),
        }
    }

    fn complain(&mut self, error: &io::Error, lost: u64) {
        if self.complained.is_none_or(|last| last.elapsed() >= QUIET) {
            self.complained = Some(Instant::now());
            tracing::error!(output = self.sink.name, %error, lost, "cannot write a plugin's output");
        }
    }
}
