//! Whether a subject does what it is measured for: forwards, and has its filters in the path.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::interrupt::Interrupt;
use super::scenario::Protocol;
use super::subject::Filters;
use super::{LOAD_CPU, process};

const KEY: [&str; 2] = ["-H", "x-api-key: secret"];
/// How long one answer may take, and the first good one.
const LIMIT: Duration = Duration::from_secs(10);
const READY: Duration = Duration::from_secs(10);

/// Asks with and without the key.
pub(super) fn check(port: u16, protocol: Protocol, filters: Filters, interrupt: &Interrupt) -> Result<()> {
    let ask = |path: &str, more: &[&str]| ask(port, protocol, path, more, interrupt);
    // Some listen before they know where to forward to.
    let ready = interrupt.until(Instant::now() + READY, || Ok(ask("/", &KEY).ok().filter(Answer::is_forwarded)))?;
    let answer = ready.map_or_else(|| ask("/", &KEY), Ok)?;
    ensure!(answer.is_forwarded(), "a request was not forwarded:\n{}", answer.text);
    if filters == Filters::Bench(0) {
        return Ok(());
    }
    let refused = ask("/", &[])?;
    ensure!(refused.status == 401, "a request without a key was not refused:\n{}", refused.text);
    if let Filters::Bench(_) | Filters::ProxyWasm(_) = filters {
        let marked = answer.text.to_ascii_lowercase().contains("\r\nx-proxied-by: wasm\r\n");
        ensure!(marked, "the filter did not set the response header:\n{}", answer.text);
        let user = ask("/user", &KEY)?;
        ensure!(user.body == "alice", "the filter did not set the request header:\n{}", user.text);
    }
    Ok(())
}

struct Answer {
    text: String,
    status: u16,
    body: String,
}

impl Answer {
    fn is_forwarded(&self) -> bool {
        self.status == 200 && self.body.len() == 1024
    }
}

fn ask(port: u16, protocol: Protocol, path: &str, more: &[&str], interrupt: &Interrupt) -> Result<Answer> {
    let version = match protocol {
        Protocol { http2: false, .. } => "--http1.1",
        Protocol { tls: true, .. } => "--http2",
        Protocol { tls: false, .. } => "--http2-prior-knowledge",
    };
    let scheme = if protocol.tls { "https" } else { "http" };
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--insecure", "--include", "--max-time", "8", version]).args(more);
    command.arg(format!("{scheme}://127.0.0.1:{port}{path}"));
    let text = process::output("curl", &command, LOAD_CPU, LIMIT, interrupt)?;
    let status = text.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    match (status, body) {
        (Some(status), Some(body)) => Ok(Answer { text, status, body }),
        _ => bail!("not an answer:\n{text}"),
    }
}
