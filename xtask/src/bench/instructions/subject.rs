//! gofe, run under valgrind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;

use anyhow::{Context, Result, bail};

use super::profile::Threads;
use super::scenario::{self, Modules, Scenario};
use super::{profile, traffic};
use crate::process;
use crate::workspace::emptied;

/// A signal's name and number.
const END: (&str, i32) = ("ALRM", 14);

/// What is measured, and where.
pub(super) struct Subject {
    /// The program.
    pub(super) program: PathBuf,
    /// What the scenarios load.
    pub(super) modules: Modules,
    /// The folder for configurations, profiles and compiled code.
    pub(super) folder: PathBuf,
}

impl Subject {
    /// Compiles the plugins, so that no count has a compilation in it. Also that happens in valgrind: it shows
    /// programs a processor of its own.
    pub(super) fn warm(&self, upstream: SocketAddr) -> Result<()> {
        let file = self.folder.join("all.yaml");
        fs::write(&file, scenario::configuration(&scenario::every_plugin(), false, upstream, &self.modules))?;
        let mut command = self.valgrind();
        process::output(command.args(["--quiet", "--tool=none"]).arg(&self.program).arg("check").arg(file)).map(drop)
    }

    /// Serves so many requests and returns what each thread did.
    pub(super) fn count(&self, scenario: &Scenario, upstream: SocketAddr, requests: u64) -> Result<Threads> {
        let file = self.folder.join("gofe.yaml");
        fs::write(&file, scenario::configuration(&scenario.plugins, scenario.governed, upstream, &self.modules))?;
        let profiles = self.folder.join("profiles");
        emptied(&profiles)?;
        let mut command = self.valgrind();
        command.args(["--quiet", "--tool=callgrind", "--separate-threads=yes", "--dump-line=no"]);
        command.arg(format!("--callgrind-out-file={}", profiles.join("thread").display()));
        command.arg(&self.program).arg("run").arg(&file);
        let mut running = Running::start(&mut command)?;
        let served = running.address().and_then(|address| traffic::send(address, scenario.body, requests));
        let ended = running.end();
        served.with_context(|| format!("scenario `{}`", scenario.name))?;
        ended?;
        profile::read(&profiles)
    }

    fn valgrind(&self) -> Command {
        let mut command = Command::new("valgrind");
        // No copy loops of one instruction, which callgrind counts once for each byte.
        command.env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS,-FSRM");
        // A compilation cache of its own; outputs are relative to the configuration's folder.
        command.env("XDG_CACHE_HOME", self.folder.join("cache")).env_remove("GOFE_LOG");
        command
    }
}

/// A gofe that serves.
struct Running {
    child: Child,
    log: mpsc::Receiver<String>,
}

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().context("the standard error of gofe")?;
        let (lines, log) = mpsc::channel();
        std::thread::spawn(move || follow(stderr, &lines));
        Ok(Self { child, log })
    }

    /// The address that the log names once gofe serves.
    fn address(&mut self) -> Result<SocketAddr> {
        let mut said = String::new();
        for line in &self.log {
            let entry = serde_json::from_str::<serde_json::Value>(&line).unwrap_or_default();
            if entry["message"] == "gofe serves" {
                let address = entry["address"].as_str().context("the log names no address")?;
                return Ok(address.parse()?);
            }
            said.push_str(&line);
            said.push('\n');
        }
        bail!("gofe does not start under valgrind:\n{said}")
    }

    /// Ends it by a signal that it does not follow, upon which callgrind writes what it counted. So no count has the
    /// end in it: which thread frees the memory is left to chance.
    fn end(&mut self) -> Result<()> {
        process::succeeds(Command::new("kill").args(["-s", END.0, &self.child.id().to_string()]));
        let status = self.child.wait()?;
        if status.signal() != Some(END.1) {
            let said: Vec<_> = self.log.try_iter().collect();
            bail!("gofe ended with {status}:\n{}", said.join("\n"));
        }
        Ok(())
    }
}

/// Reads to the end, so that gofe never waits for its log to be read.
fn follow(stderr: ChildStderr, lines: &mpsc::Sender<String>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if lines.send(line).is_err() {
            return;
        }
    }
}
