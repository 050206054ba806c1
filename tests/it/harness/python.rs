//! Programs in Python, with the packages that `cargo xtask setup` installs.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The interpreter with the packages; a test leaves out what it would do with it where there is none.
pub fn python() -> Option<PathBuf> {
    let found = std::env::var_os("GOFE_PYTHON").map(PathBuf::from).or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
        Some(cache.join("gofe-tests/bin/python"))
    });
    let found = found.filter(|python| python.is_file());
    if found.is_none() {
        eprintln!("left out: there is no Python with the packages that `cargo xtask setup` installs");
    }
    found
}

/// A script of the tests that serves on a port which it says; it ends with the test.
pub struct Script {
    child: Child,
    /// Where it serves.
    pub address: SocketAddr,
}

impl Script {
    /// Starts a script, whose path is relative to `tests/it`.
    pub fn start(python: &Path, script: &str, arguments: &[&str]) -> Self {
        let mut command = command(python, script, arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().unwrap_or_else(|_| panic!("{script} says {line:?} and no port"));
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a script, which must succeed, and returns what it printed.
pub fn ran(python: &Path, script: &str, arguments: &[&str]) -> String {
    let output = command(python, script, arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{script} {arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn command(python: &Path, script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("it").join(script)).args(arguments);
    command
}
