//! The processes of a run, and a client that looks which version answers.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{PATIENCE, text};
use crate::process;

/// Between two looks: it bounds how exact the times are.
pub(super) const PAUSE: Duration = Duration::from_micros(200);

/// nginx with one process on CPU 1, which answers 1 KiB.
pub(super) struct Upstream {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Upstream {
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let address = free_address()?;
        let body = "x".repeat(1024);
        let at = text(folder);
        let config = format!(
            "worker_processes 1; daemon off; master_process off; pid {at}/nginx.pid; error_log {at}/nginx.log;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 3600s;\n\
             server {{ listen {address}; location / {{ return 200 \"{body}\"; }} }} }}\n"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, config)?;
        let mut command = Command::new("taskset");
        command.args(["-c", "1", "nginx", "-e", &format!("{at}/nginx.log"), "-c", &text(&file)]);
        let upstream = Self { child: command.spawn().context("taskset and nginx")?, address };
        first_answer(address)?;
        Ok(upstream)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A gofe that is measured.
pub(crate) struct Gofe {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Gofe {
    /// Starts it with the four standard plugins and the plugin that is swapped.
    pub(super) fn start(binary: &Path, folder: &Path, upstream: SocketAddr, one_cpu: bool) -> Result<Self> {
        let address = free_address()?;
        Self::start_with(binary, folder, address, &yaml(address, upstream), one_cpu)
    }

    /// Starts it with this configuration, in which it listens on this address, and waits for its first answer.
    pub(crate) fn start_with(
        binary: &Path,
        folder: &Path,
        address: SocketAddr,
        yaml: &str,
        one_cpu: bool,
    ) -> Result<Self> {
        let file = folder.join("gofe.yaml");
        fs::write(&file, yaml)?;
        let mut command = Command::new(if one_cpu { Path::new("taskset") } else { binary });
        if one_cpu {
            command.args(["-c", "0"]).arg(binary);
        }
        command.arg("run").arg(&file).env("XDG_CACHE_HOME", folder.join("cache"));
        let log = fs::File::create(folder.join("gofe.log"))?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        let gofe = Self { child, address };
        let answer = first_answer(address).with_context(|| format!("see {}/gofe.log", folder.display()))?;
        if !answer.starts_with("HTTP/1.1 200") {
            bail!("gofe does not serve:\n{answer}");
        }
        Ok(gofe)
    }

    /// Ends it as an operator does, and waits for that.
    pub(crate) fn end(mut self) -> Result<()> {
        process::output(Command::new("kill").arg(self.pid().to_string()))?;
        let status = self.child.wait()?;
        ensure!(status.success(), "gofe ended with {status}");
        Ok(())
    }

    /// The process's number. taskset becomes gofe, so it is gofe's.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Gofe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn yaml(address: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "workers: 1
listeners: [{{ address: '{address}' }}]
plugins:
  access-log: {{ source: std:access-log, allow: {{ output: file:access.log }} }}
  api-key: {{ source: std:api-key, config: {{ keys: {{ secret: alice }} }} }}
  rate-limit: {{ source: std:rate-limit, config: {{ key: client-ip, rate: 1000000/s, burst: 1000000 }} }}
  router: {{ source: std:router, config: {{ rules: [{{ name: canary, when: {{ header: x-canary, is: always }}, \
         upstream: canary }}] }} }}
  version: {{ source: file:v.wasm }}
chains: {{ api: [access-log, api-key, rate-limit, router, version] }}
routes: [{{ chain: api, upstream: up }}]
upstreams: {{ up: {{ endpoints: ['{upstream}'] }}, canary: {{ builtin: echo }} }}
"
    )
}

/// A port of loopback that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Asks until there is an answer.
fn first_answer(address: SocketAddr) -> Result<String> {
    let began = Instant::now();
    loop {
        match Client::connect(address).and_then(|mut client| client.get()) {
            Ok(answer) => return Ok(answer),
            Err(error) if began.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream })
    }

    /// The head of the answer to a GET.
    pub(crate) fn get(&mut self) -> Result<String> {
        self.stream.write_all(b"GET / HTTP/1.1\r\nhost: bench\r\nx-api-key: secret\r\n\r\n")?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let length = self.stream.read(&mut buffer)?;
            if length == 0 {
                bail!("the connection was closed");
            }
            bytes.extend_from_slice(&buffer[..length]);
            let text = String::from_utf8_lossy(&bytes);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.context("an answer without content-length")? {
                return Ok(head.replacen("http/1.1", "HTTP/1.1", 1));
            }
        }
    }
}
