//! Load by h2load, which logs each request.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use super::text;
use crate::workspace::emptied;

/// Connections of the load.
const CONNECTIONS: u32 = 32;

/// A running h2load.
pub(super) struct Load {
    child: Child,
    log: PathBuf,
}

/// One request of the load.
pub(super) struct Answered {
    /// When its answer was complete.
    pub(super) at: SystemTime,
    /// How long that took.
    pub(super) micros: u32,
    /// Whether the status was 200.
    pub(super) succeeded: bool,
}

impl Load {
    /// Starts it on CPU 1: at this rate, or as fast as answers come.
    pub(super) fn start(folder: &Path, to: SocketAddr, rate: Option<u32>, duration: Duration) -> Result<Self> {
        // Not in gofe's folder, which gofe watches: there is a change at each buffer that is written.
        let folder = folder.join("load");
        emptied(&folder)?;
        let log = folder.join("requests");
        let mut command = Command::new("taskset");
        command.args(["-c", "1", "h2load", "--h1", "-t1"]);
        command.arg(format!("-c{CONNECTIONS}")).arg(format!("-D{}", duration.as_secs()));
        if let Some(rate) = rate {
            command.arg(format!("--rps={}", f64::from(rate) / f64::from(CONNECTIONS)));
        }
        command.arg(format!("--log-file={}", text(&log)));
        command.args(["-H", "x-api-key: secret", &format!("http://{to}/")]);
        let child = command.stdout(Stdio::null()).spawn();
        Ok(Self { child: child.context("taskset and h2load (Debian: util-linux, nghttp2-client)")?, log })
    }

    /// Waits for its end. The answers in the order in which they came.
    pub(super) fn end(mut self) -> Result<Vec<Answered>> {
        let status = self.child.wait()?;
        ensure!(status.success(), "h2load failed: {status}");
        let log = fs::read_to_string(&self.log)?;
        let mut answered = log.lines().map(line).collect::<Option<Vec<_>>>().context("the log of h2load")?;
        answered.sort_by_key(|answer| answer.at);
        Ok(answered)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Start in microseconds since 1970, status, and how many microseconds it took.
fn line(line: &str) -> Option<Answered> {
    let mut fields = line.split('\t');
    let start = Duration::from_micros(fields.next()?.parse().ok()?);
    let succeeded = fields.next()? == "200";
    let micros: u32 = fields.next()?.parse().ok()?;
    Some(Answered { at: UNIX_EPOCH + start + Duration::from_micros(micros.into()), micros, succeeded })
}
