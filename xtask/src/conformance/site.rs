//! A gofe to be examined, and what stands behind it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process;
use crate::workspace::Workspace;

/// How long a program may take until it serves.
const START: Duration = Duration::from_secs(30);

/// A program that is stopped with this.
pub(super) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A gofe with a listener in cleartext and one in TLS.
pub(super) struct Site {
    _gofe: Running,
    _folder: TempDir,
    /// The port that speaks cleartext.
    pub(super) plain: u16,
    /// The port that speaks TLS.
    pub(super) tls: u16,
}

impl Site {
    /// Starts it with these routes and upstreams.
    pub(super) fn start(workspace: &Workspace, routes: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        certificate(&folder)?;
        let files = "{ certificate: file:site.pem, private-key: file:site.key }";
        let yaml = format!(
            "workers: 1\nlog: {{ format: json }}\nlisteners:\n  - address: 127.0.0.1:0\n  \
             - {{ address: '127.0.0.2:0', tls: {{ certificates: [{files}] }} }}\n{routes}"
        );
        let file = folder.path().join("gofe.yaml");
        fs::write(&file, yaml)?;
        let mut command = Command::new(workspace.gofe());
        command.arg("run").arg(&file).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("gofe could not be started")?;
        let mut lines = BufReader::new(child.stderr.take().context("gofe's log")?).lines();
        let gofe = Running(child);
        let (mut plain, mut tls) = (None, None);
        while plain.is_none() || tls.is_none() {
            let line = lines.next().context("gofe ended before it served")??;
            let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            let address = line["address"].as_str().and_then(|address| address.rsplit_once(':'));
            match address.map(|(host, port)| (host, port.parse())) {
                Some(("127.0.0.1", Ok(port))) => plain = Some(port),
                Some(("127.0.0.2", Ok(port))) => tls = Some(port),
                _ => {}
            }
        }
        // Nobody else reads the log, and it must not fill up.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(Self { _gofe: gofe, _folder: folder, plain: plain.unwrap_or(0), tls: tls.unwrap_or(0) })
    }
}

/// Starts a server that is told its port, and waits until it listens there.
pub(super) fn serve(command: impl Fn(u16) -> Command) -> Result<(Running, u16)> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut command = command(port);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let running = Running(child.with_context(|| format!("{command:?} could not be started"))?);
    let end = Instant::now() + START;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if Instant::now() > end {
            bail!("{command:?} does not listen on port {port} after {START:?}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok((running, port))
}

/// A certificate that is valid for two days, and its key.
fn certificate(folder: &TempDir) -> Result<()> {
    let mut command = Command::new("openssl");
    command.current_dir(folder.path());
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    command.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.2"]);
    process::output(command.args(["-keyout", "site.key", "-out", "site.pem"])).map(drop)
}
