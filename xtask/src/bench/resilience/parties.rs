//! The processes: endpoints, and gofe before them.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::endpoint::Fault;
use crate::bench::peers::PROXY_CPU;

/// How long a process may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// An endpoint's process; it ends when this is dropped.
pub(super) struct Endpoint {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(super) address: SocketAddr,
}

impl Endpoint {
    pub(super) fn start(address: SocketAddr) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "endpoint", &address.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("standard input")?;
        let output = BufReader::new(child.stdout.take().context("standard output")?);
        let mut endpoint = Self { child, input, output, address };
        endpoint.address = endpoint.line()?.parse().context("the endpoint's address")?;
        Ok(endpoint)
    }

    /// Lets it fail so from now on.
    pub(super) fn set(&mut self, fault: Fault) -> Result<()> {
        self.tell(fault.name()).map(drop)
    }

    /// How many requests it has read.
    pub(super) fn count(&mut self) -> Result<u64> {
        Ok(self.tell("count")?.parse()?)
    }

    /// Ends it as SIGKILL does.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn tell(&mut self, what: &str) -> Result<String> {
        writeln!(self.input, "{what}")?;
        self.line()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("an endpoint has ended");
        }
        Ok(line.trim().to_owned())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.kill());
    }
}

/// A gofe's process; it ends when this is dropped.
pub(super) struct Gofe {
    child: Child,
    pub(super) address: SocketAddr,
    _folder: TempDir,
}

impl Gofe {
    /// Starts it before these endpoints, with more keys of the route and of the upstream.
    pub(super) fn start(binary: &Path, endpoints: &[String], more: &(String, String)) -> Result<Self> {
        Self::run(Command::new(binary), "", endpoints, more)
    }

    /// The same with one worker on the processor where the proxies are that are measured.
    pub(super) fn start_pinned(binary: &Path, endpoints: &[String], more: &(String, String)) -> Result<Self> {
        let mut command = Command::new("taskset");
        command.args(["-c", PROXY_CPU]).arg(binary);
        Self::run(command, "workers: 1\n", endpoints, more)
    }

    fn run(mut command: Command, first: &str, endpoints: &[String], more: &(String, String)) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let yaml = format!(
            "{first}listeners: [{{ address: '{address}' }}]\nlog: {{ filter: error }}\n\
             routes:\n  - upstream: users\n    timeout: 1s\n{}\
             upstreams:\n  users:\n    endpoints: [{}]\n{}",
            more.0,
            endpoints.join(", "),
            more.1
        );
        let file = folder.path().join("gofe.yaml");
        std::fs::write(&file, &yaml)?;
        let child = command.arg("run").arg(&file).stdout(Stdio::null()).spawn()?;
        let mut gofe = Self { child, address, _folder: folder };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = gofe.child.try_wait()? {
                bail!("gofe has ended with {status}; its configuration was\n{yaml}");
            }
            if Instant::now() > end {
                bail!("gofe does not listen on {address}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(gofe)
    }
}

impl Gofe {
    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// Whether somebody listens at this address.
pub(super) fn listens(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

impl Drop for Gofe {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
