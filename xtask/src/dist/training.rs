//! What a gofe with counters serves: each protocol, and each kind of plugin, alone and in a chain.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::bench::filter;
use crate::bench::swap::parties::{Gofe, free_address};
use crate::workspace::{Workspace, emptied};
use crate::{docs, process};

/// Requests of each load. They take seconds, and are far more than the start and the compilation of the plugins weigh.
const REQUESTS: u32 = 30_000;
/// Connections of each load.
const CONNECTIONS: u32 = 32;
/// Handshakes of the load that has a connection for each request.
const HANDSHAKES: u32 = 500;

/// Where gofe listens, without TLS and with it.
struct Listeners {
    plain: SocketAddr,
    tls: SocketAddr,
}

/// Lets `gofe` serve all of it, with a cache of compiled code that is empty: the compiler counts too. The counts are written
/// when it ends.
pub(super) fn run(workspace: &Workspace, gofe: &Path, folder: &Path) -> Result<()> {
    docs::certificates(workspace)?;
    let (above, below) = (folder.join("proxy"), folder.join("upstream"));
    for folder in [&above, &below] {
        // Each has its cache in its folder.
        emptied(folder)?;
    }
    let upstream = free_address()?;
    let yaml = format!(
        "workers: 1\nlimits: {{ connections-per-client: 10000 }}\nlisteners: [{{ address: '{upstream}' }}]\n\
         routes: [{{ upstream: echo }}]\nupstreams: {{ echo: {{ builtin: echo }} }}\n"
    );
    let echo = Gofe::start_with(gofe, &below, upstream, &yaml, false)?;
    let listeners = Listeners { plain: free_address()?, tls: free_address()? };
    let yaml = configuration(workspace, &listeners, upstream)?;
    let proxy = Gofe::start_with(gofe, &above, listeners.plain, &yaml, false)?;
    let body = folder.join("body");
    fs::write(&body, [b'y'; 16 << 10])?;
    for load in loads(&listeners, &body.to_string_lossy()) {
        send(&load)?;
    }
    proxy.end()?;
    echo.end()
}

/// One worker, and a route for each chain.
fn configuration(workspace: &Workspace, listeners: &Listeners, upstream: SocketAddr) -> Result<String> {
    let Listeners { plain, tls } = listeners;
    let certificates = workspace.root.join("examples/certificates");
    let at = certificates.display();
    let file = |abi| filter(workspace, abi).map(|file| file.display().to_string());
    let (own, proxy_wasm, http_wasm) = (file("gofe")?, file("proxy-wasm")?, file("http-wasm")?);
    Ok(format!(
        "workers: 1
limits: {{ connections-per-client: 10000 }}
listeners:
  - {{ address: '{plain}' }}
  - {{ address: '{tls}', tls: {{ certificates: [{{ certificate: 'file:{at}/site.pem', private-key: 'file:{at}/site.key' }}] }} }}
plugins:
  access-log: {{ source: std:access-log, allow: {{ output: file:access.log }} }}
  api-key: {{ source: std:api-key, config: {{ keys: {{ secret: alice }} }} }}
  rate-limit: {{ source: std:rate-limit, config: {{ key: client-ip, rate: 1000000/s, burst: 1000000 }} }}
  router:
    source: std:router
    config: {{ rules: [{{ name: canary, when: {{ header: x-canary, is: always }}, upstream: canary }}] }}
  own-1: {{ source: 'file:{own}' }}
  own-2: {{ source: 'file:{own}' }}
  proxy-wasm-1: {{ source: 'file:{proxy_wasm}' }}
  proxy-wasm-2: {{ source: 'file:{proxy_wasm}' }}
  http-wasm-1: {{ source: 'file:{http_wasm}' }}
  http-wasm-2: {{ source: 'file:{http_wasm}' }}
chains:
  standard: [access-log, api-key, rate-limit, router]
  own: [own-1, own-2]
  proxy-wasm: [proxy-wasm-1, proxy-wasm-2]
  http-wasm: [http-wasm-1, http-wasm-2]
routes:
  - {{ match: {{ path: /standard/** }}, chain: standard, upstream: up }}
  - {{ match: {{ path: /own/** }}, chain: own, upstream: up }}
  - {{ match: {{ path: /proxy-wasm/** }}, chain: proxy-wasm, upstream: up }}
  - {{ match: {{ path: /http-wasm/** }}, chain: http-wasm, upstream: up }}
  - {{ upstream: up }}
upstreams: {{ up: {{ endpoints: ['{upstream}'] }}, canary: {{ builtin: echo }} }}
"
    ))
}

/// The arguments of h2load for each load.
fn loads(listeners: &Listeners, body: &str) -> Vec<Vec<String>> {
    let Listeners { plain, tls } = listeners;
    let line = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let many = format!("-n{REQUESTS} -c{CONNECTIONS}");
    let streams = format!("-n{REQUESTS} -c4 -m8");
    let chains = ["", "standard/a", "own/a", "proxy-wasm/a", "http-wasm/a"];
    let mut loads: Vec<_> = chains.iter().map(|path| line(format!("--h1 {many} http://{plain}/{path}"))).collect();
    loads.push(line(format!("--h1 -n{} -c{CONNECTIONS} -d {body} http://{plain}/", REQUESTS / 4)));
    for path in ["", "standard/a"] {
        loads.push(line(format!("{streams} http://{plain}/{path}")));
        loads.push(line(format!("{streams} https://{tls}/{path}")));
    }
    loads.push(line(format!("--h1 {many} https://{tls}/")));
    loads.push(line(format!("--h1 -n{HANDSHAKES} -c{HANDSHAKES} https://{tls}/")));
    loads
}

/// Sends one load; all of it must be answered as it should.
fn send(load: &[String]) -> Result<()> {
    eprintln!("h2load {}", load.join(" "));
    let said = process::output(Command::new("h2load").args(["-t1", "-H", "x-api-key: secret"]).args(load))?;
    let answers = said.lines().find(|line| line.starts_with("status codes: ")).unwrap_or_default();
    ensure!(
        answers.contains(" 0 3xx, 0 4xx, 0 5xx") && !answers.contains(" 0 2xx"),
        "not all answers are 200:\n{said}"
    );
    Ok(())
}
