//! Programs that run in the background, pinned to processors and stopped with all that they started.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::interrupt::Interrupt;

/// How long a program may take to listen, and to end when asked to.
const START: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(5);
/// How much of a program's output an error shows.
const LAST_LINES: usize = 12;

/// A program in a process group of its own. It is stopped when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    name: String,
    child: Child,
    log: File,
}

impl Running {
    /// Starts a program on the processors `cpus`, written as taskset takes them.
    pub(super) fn start(name: &str, command: &Command, cpus: &str) -> Result<Self> {
        let log = tempfile::tempfile().context("a temporary file for output")?;
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", cpus]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => pinned.env(key, value),
                None => pinned.env_remove(key),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            pinned.current_dir(folder);
        }
        pinned.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?).process_group(0);
        let child = pinned.spawn().with_context(|| format!("{name}: taskset could not be started"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// The process's number. taskset becomes the program, so it is the program's.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("waiting for {}", self.name))
    }

    /// Waits until it accepts connections.
    pub(super) fn wait_until_it_listens(&mut self, port: u16, interrupt: &Interrupt) -> Result<()> {
        let listens = interrupt.until(Instant::now() + START, || {
            if let Some(status) = self.ended()? {
                bail!("{} did not start ({status}). Its last lines:\n{}", self.name, self.last_lines());
            }
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
        })?;
        if listens.is_none() {
            bail!(
                "{} does not listen on port {port} after {START:?}. Its last lines:\n{}",
                self.name,
                self.last_lines()
            );
        }
        Ok(())
    }

    /// Keeps it from running, so that it takes no time from the one that is measured.
    pub(super) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it run again.
    pub(super) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// All that it printed.
    pub(super) fn log(&self) -> String {
        let length = self.log.metadata().map_or(0, |metadata| metadata.len());
        let mut text = vec![0; usize::try_from(length).unwrap_or(0)];
        // At a position of its own: that of the handle is the program's, which may still write.
        match self.log.read_exact_at(&mut text, 0) {
            Ok(()) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => format!("(its output cannot be read: {error})"),
        }
    }

    /// The end of what it printed.
    pub(super) fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| format!("  {line}\n"));
        let text: String = last.collect();
        if text.is_empty() { "  (it printed nothing)".into() } else { text.trim_end().into() }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // The group is gone when all of it has ended, which is as well.
            let _ = kill_process_group(group, signal);
        }
    }

    fn stop(&mut self) {
        // Also when the program itself has ended: what it started may still run.
        self.signal(Signal::TERM);
        self.thaw();
        let end = Instant::now() + END;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port that nobody listens on.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// Runs a program to its end on the processors `cpus` and returns what it printed. It is stopped when it takes longer
/// than `limit` or someone asks to end.
pub(super) fn output(
    name: &str,
    command: &Command,
    cpus: &str,
    limit: Duration,
    interrupt: &Interrupt,
) -> Result<String> {
    let mut running = Running::start(name, command, cpus)?;
    match interrupt.until(Instant::now() + limit, || running.ended())? {
        Some(status) if status.success() => Ok(running.log()),
        Some(status) => bail!("{name} failed ({status}):\n{}", running.last_lines()),
        None => bail!("{name} did not end within {} s:\n{}", limit.as_secs(), running.last_lines()),
    }
}
