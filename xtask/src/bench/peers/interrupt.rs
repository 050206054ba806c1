//! Ending in good order on SIGINT, SIGTERM and SIGHUP: whoever waits gets an error, and what it started is stopped
//! on the way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// How often waiting looks whether it is over. xtask shares a processor with the load generator, so not too often.
const LOOK: Duration = Duration::from_millis(20);

/// Whether someone asked to end.
#[derive(Debug, Clone)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the signals only set a flag.
    pub(super) fn listen() -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(Self(asked))
    }

    /// An error when someone asked to end.
    pub(super) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Waits.
    pub(super) fn pause(&self, time: Duration) -> Result<()> {
        self.until(Instant::now() + time, || Ok(None::<()>)).map(drop)
    }

    /// Looks for something until it is there; `None` when the time is over.
    pub(super) fn until<T>(&self, end: Instant, mut look: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
        loop {
            self.check()?;
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            thread::sleep(LOOK.min(end.saturating_duration_since(Instant::now())));
        }
    }
}
