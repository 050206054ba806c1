//! Certificates by ACME from Pebble, Let's Encrypt's authority for tests: both challenges, several names, a restart and a
//! renewal. Everything is on loopback; Pebble asks a DNS server of its own.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::go;
use crate::process;
use crate::workspace::Workspace;

/// The Go module that has Pebble and its DNS server.
const MODULE: &str = "github.com/letsencrypt/pebble/v2@v2.10.1";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where Pebble has the certificates of its authorities.
const ROOTS: &str = "roots";
/// How long a certificate holds, so that its renewal can be waited for.
const VALIDITY: u64 = 60;

/// A program that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the run needs to know.
struct Place {
    folder: tempfile::TempDir,
    gofe: PathBuf,
    /// Pebble's source, which has the certificates of its API.
    source: PathBuf,
    directory: u16,
    management: u16,
    http: u16,
    tls: u16,
    admin: u16,
}

/// Runs all of it.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
    let gofe = workspace.gofe();
    let programs = Programs::install()?;
    for challenge in ["http-01", "tls-alpn-01"] {
        let ports = free_ports()?;
        let [dns, control, directory, management, http, tls, admin] = ports;
        let folder = tempfile::tempdir().context("a folder")?;
        let place = Place {
            folder,
            gofe: gofe.clone(),
            source: programs.source.clone(),
            directory,
            management,
            http,
            tls,
            admin,
        };
        let _names = names(&programs, dns, control)?;
        let _pebble = pebble(&programs, &place, dns)?;
        case(&place, challenge).with_context(|| format!("challenge {challenge}"))?;
        eprintln!("acme: {challenge}: issued, served, kept over a restart, renewed");
    }
    Ok(())
}

/// What others have written.
struct Programs {
    pebble: PathBuf,
    names: PathBuf,
    /// Pebble's source.
    source: PathBuf,
}

impl Programs {
    /// Installs what is not there.
    fn install() -> Result<Self> {
        let (path, version) = MODULE.split_once('@').context("a module with its version")?;
        let program = |name: &str| go::install(&format!("{path}/cmd/{name}@{version}"));
        let said = process::output(go::command()?.args(["mod", "download", "-json", MODULE]))?;
        let said: Value = serde_json::from_str(&said).context("what Go says of the module")?;
        let source = said["Dir"].as_str().context("the module's folder")?.into();
        Ok(Self { pebble: program("pebble")?, names: program("pebble-challtestsrv")?, source })
    }
}

/// Ports that nobody listens on. They are free now, and another program may take one until it is used.
fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let held: Vec<TcpListener> = (0..COUNT).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let mut ports = [0; COUNT];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

fn start(name: &str, command: &mut Command) -> Result<Running> {
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    started.map(Running).with_context(|| format!("{name} could not be started"))
}

/// A DNS server for which every name is on this machine.
fn names(programs: &Programs, dns: u16, control: u16) -> Result<Running> {
    let mut command = Command::new(&programs.names);
    command.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]);
    command.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""]);
    command.arg("-dnsserver").arg(format!("127.0.0.1:{dns}")).arg("-management").arg(format!("127.0.0.1:{control}"));
    start("pebble-challtestsrv", &mut command)
}

fn pebble(programs: &Programs, place: &Place, dns: u16) -> Result<Running> {
    let certificates = place.source.join("test/certs/localhost");
    let config = json!({ "pebble": {
        "listenAddress": format!("127.0.0.1:{}", place.directory),
        "managementListenAddress": format!("127.0.0.1:{}", place.management),
        "certificate": certificates.join("cert.pem"),
        "privateKey": certificates.join("key.pem"),
        "httpPort": place.http,
        "tlsPort": place.tls,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": false,
        "retryAfter": { "authz": 1, "order": 1 },
        "keyAlgorithm": "ecdsa",
        "profiles": { "default": { "description": "for tests", "validityPeriod": VALIDITY } },
    } });
    let file = place.folder.path().join("pebble.json");
    fs::write(&file, config.to_string())?;
    let mut command = Command::new(&programs.pebble);
    command.env("PEBBLE_VA_ALWAYS_VALID", "0").env("PEBBLE_VA_NOSLEEP", "1");
    command.arg("-config").arg(file).arg("-dnsserver").arg(format!("127.0.0.1:{dns}"));
    start("pebble", &mut command)
}

fn gofe(place: &Place, challenge: &str) -> Result<Running> {
    let ca = place.source.join("test/certs/pebble.minica.pem");
    let yaml = format!(
        "workers: 1\nlisteners:\n\
         - {{ address: '127.0.0.1:{}', redirect-to-https: {{ port: {} }} }}\n\
         - address: '127.0.0.1:{}'\n  tls:\n    acme:\n      directory: https://localhost:{}/dir\n      \
         names: [site.test, www.site.test]\n      authority: file:{}\n      storage: file:acme\n      \
         agree-to-terms: true\n      challenge: {challenge}\n      timeout: 1m\n\
         admin: {{ address: '127.0.0.1:{}' }}\nroutes: [{{ respond: {{ body: served }} }}]\n",
        place.http,
        place.tls,
        place.tls,
        place.directory,
        ca.display(),
        place.admin
    );
    let file = place.folder.path().join("gofe.yaml");
    fs::write(&file, yaml)?;
    let log = fs::File::options().create(true).append(true).open(place.folder.path().join("log"))?;
    let mut command = Command::new(&place.gofe);
    command.arg("run").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().map(Running).context("gofe could not be started")
}

fn case(place: &Place, challenge: &str) -> Result<()> {
    // Pebble must be there before gofe asks, as a second order comes a minute after the first.
    let ca = place.source.join("test/certs/pebble.minica.pem");
    let curl = |url: String| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "10", "--cacert"]).arg(&ca).arg(url);
        command
    };
    until("Pebble listens", || {
        Ok(process::succeeds(&mut curl(format!("https://localhost:{}/dir", place.directory))).then_some(()))
    })?;
    let root = process::output(&mut curl(format!("https://localhost:{}/{ROOTS}/0", place.management)))?;
    fs::write(place.folder.path().join("root.pem"), root)?;
    let first = {
        let _gofe = gofe(place, challenge)?;
        let first = until("a certificate is issued", || ends(place))?;
        served(place)?;
        first
    };
    private(&place.folder.path().join("acme"))?;
    let _gofe = gofe(place, challenge)?;
    let again = until("the certificate is there after a restart", || ends(place))?;
    ensure!(again == first, "after a restart there is another certificate");
    served(place)?;
    until("the certificate is renewed", || Ok(ends(place)?.filter(|end| *end != first)))?;
    served(place)
}

/// When the certificate ends, once there is one; gofe's log where an order failed.
fn ends(place: &Place) -> Result<Option<String>> {
    let url = format!("http://127.0.0.1:{}/certificates", place.admin);
    let Ok(said) = process::output(Command::new("curl").args(["-sS", "--max-time", "10", &url])) else {
        return Ok(None);
    };
    let said: Value = serde_json::from_str(&said).context("what gofe says of its certificates")?;
    if let Some(error) = said[0]["error"].as_str() {
        bail!("an order failed: {error}");
    }
    Ok(said[0]["not_after"].as_str().map(str::to_owned))
}

/// Both names are served with a certificate that Pebble has issued, and cleartext is redirected.
fn served(place: &Place) -> Result<()> {
    for name in ["site.test", "www.site.test"] {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "10", "--cacert"]).arg(place.folder.path().join("root.pem"));
        command.arg("--resolve").arg(format!("{name}:{}:127.0.0.1", place.tls));
        let body = process::output(command.arg(format!("https://{name}:{}/", place.tls)))?;
        ensure!(body == "served", "{name} is answered with {body:?}");
    }
    let url = format!("http://127.0.0.1:{}/.well-known/acme-challenge/none", place.http);
    let status = process::output(Command::new("curl").args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", &url]))?;
    ensure!(status == "308", "cleartext is answered with {status}");
    Ok(())
}

/// Nobody but gofe's user can read account and key.
fn private(folder: &Path) -> Result<()> {
    let mode = |path: &Path| -> Result<u32> { Ok(fs::metadata(path)?.permissions().mode() & 0o777) };
    ensure!(mode(folder)? == 0o700, "the folder has the mode {:o}", mode(folder)?);
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        ensure!(mode(&path)? == 0o600, "{} has the mode {:o}", path.display(), mode(&path)?);
    }
    Ok(())
}

/// Asks again and again until there is an answer.
fn until<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        ensure!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(200));
    }
}
