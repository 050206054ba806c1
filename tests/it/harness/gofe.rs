//! A gofe process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Answer, KeepAlive};

/// How long a test waits for an event before it says that it did not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running gofe; it ends with the test.
pub struct Gofe {
    child: Child,
    folder: TempDir,
    log: Arc<Log>,
    /// Where it serves.
    pub address: SocketAddr,
    /// Where its admin API is.
    pub admin: SocketAddr,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Log {
    fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    fn wait(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let end = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|line| wanted(line)) {
                return Some(line.clone());
            }
            let left = end.checked_duration_since(Instant::now())?;
            lines = self.more.wait_timeout(lines, left).unwrap().0;
        }
    }
}

/// What `gofe check` said.
pub struct Check {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// The gofe binary that is tested.
fn binary() -> PathBuf {
    std::env::var_os("GOFE_BIN").map_or_else(
        || {
            // `cargo test` alone: the binary that `cargo build` left beside this one.
            let here = std::env::current_exe().unwrap();
            here.parent().and_then(Path::parent).unwrap().join("gofe")
        },
        PathBuf::from,
    )
}

/// A guest plugin of `tests/guests`, built by `cargo xtask guests`.
pub fn guest(name: &str) -> PathBuf {
    let file = guest_file(name);
    assert!(file.exists(), "{} is not there: run `cargo xtask guests`", file.display());
    file
}

/// The guest in another language than Rust; nothing where its compiler is not there, which `cargo xtask guests` says.
pub fn foreign_guest(name: &str) -> Option<PathBuf> {
    Some(guest_file(name)).filter(|file| file.exists())
}

fn guest_file(name: &str) -> PathBuf {
    let folder = std::env::var_os("GOFE_GUESTS").map_or_else(
        || {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
            root.join("target/guests")
        },
        PathBuf::from,
    );
    folder.join(format!("{name}.wasm"))
}

/// Runs `gofe check` on this YAML.
pub fn check(yaml: &str) -> Check {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gofe.yaml");
    std::fs::write(&file, yaml).unwrap();
    let output = Command::new(binary()).arg("check").arg(&file).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Check { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs `gofe run` on this YAML, which it must refuse, in a folder that holds files which the YAML names.
pub fn refused_start(folder: &Path, yaml: &str) -> Check {
    let file = folder.join("gofe.yaml");
    std::fs::write(&file, with_addresses(yaml)).unwrap();
    let output = Command::new(binary()).arg("run").arg(&file).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Check { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Gofe {
    /// Starts gofe with this YAML; a listener and an admin address on free ports are put in front of it, with two workers
    /// where it does not say how many.
    pub fn start(yaml: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), yaml)
    }

    /// The same in a folder that holds files which the YAML names. Compiled code goes to a folder `cache` in it, where
    /// there is one.
    pub fn start_in(folder: TempDir, yaml: &str) -> Self {
        let file = folder.path().join("gofe.yaml");
        std::fs::write(&file, with_addresses(yaml)).unwrap();
        let cache = folder.path().join("cache");
        let mut child = Command::new(binary())
            .envs(cache.exists().then_some(("XDG_CACHE_HOME", cache)))
            .arg("run")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(folder.path().join("stdout")).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let writer = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                writer.lines.lock().unwrap().push(line);
                writer.more.notify_all();
            }
        });
        let address = |message: &str| {
            let line = log.wait(|line| line.contains(message));
            let line = line.unwrap_or_else(|| panic!("gofe does not start:\n{}", log.text()));
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            line["address"].as_str().unwrap().parse().unwrap()
        };
        let (address, admin) = (address("gofe serves"), address("admin API"));
        Self { child, folder, log, address, admin }
    }

    /// The gofe command, for what needs other arguments.
    pub fn command() -> Command {
        Command::new(binary())
    }

    /// The folder with `gofe.yaml` and what it names.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What gofe and its plugins wrote to standard output so far.
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stdout")).unwrap()
    }

    /// Writes a new configuration over the old one; gofe sees that by itself.
    pub fn write(&self, yaml: &str) {
        std::fs::write(self.folder.path().join("gofe.yaml"), with_addresses(yaml)).unwrap();
    }

    /// Waits until the log has a line with this text, and returns it.
    pub fn logged(&self, text: &str) -> String {
        self.log
            .wait(|line| line.contains(text))
            .unwrap_or_else(|| panic!("no log line with {text:?} in\n{}", self.log.text()))
    }

    /// All log lines so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().clone()
    }

    /// A GET of the admin API.
    pub fn ask(&self, path: &str) -> Answer {
        KeepAlive::connect(self.admin).get(path, &[])
    }

    /// A POST to the admin API.
    pub fn tell(&self, path: &str) -> Answer {
        KeepAlive::connect(self.admin).request("POST", path, &[]).unwrap()
    }

    /// The address of the listener on this IP address.
    pub fn address_on(&self, ip: &str) -> SocketAddr {
        let line = self.log.wait(|line| line.contains("gofe serves") && line.contains(&format!("\"{ip}:")));
        let line: serde_json::Value = serde_json::from_str(&line.expect("a listener on this address")).unwrap();
        line["address"].as_str().unwrap().parse().unwrap()
    }

    /// Waits until a counter in the metrics, with its labels as they are written there, has this value.
    pub fn counts(&self, series: &str, expected: u64) {
        let end = Instant::now() + PATIENCE;
        loop {
            let metrics = self.ask("/metrics").body;
            let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
            let count = line.map_or(0, |value| value.parse().unwrap());
            if count == expected {
                return;
            }
            assert!(Instant::now() < end, "{series} is {count} and not {expected}");
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, for example `HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until the process has ended.
    pub fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Gofe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("gofe's log:\n{}", self.log.text());
        }
    }
}

fn with_addresses(yaml: &str) -> String {
    let mut head = String::new();
    for (key, line) in [
        ("workers:", "workers: 2\n"),
        ("listeners:", "listeners: [{ address: 127.0.0.1:0 }]\n"),
        ("admin:", "admin: { address: 127.0.0.1:0 }\n"),
        ("log:", "log: { format: json }\n"),
    ] {
        if !yaml.lines().any(|line| line.starts_with(key)) {
            head.push_str(line);
        }
    }
    head + yaml
}
