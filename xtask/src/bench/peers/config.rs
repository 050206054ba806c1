//! The subjects' configurations: one worker, or as many as asked for; no access log; connections kept alive; nothing
//! else than what forwarding to one upstream needs.

mod caddy;
mod envoy;
mod gofe;
mod haproxy;
mod nginx;
mod traefik;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::scenario::Protocol;
use super::subject::{Product, Subject};

pub(super) use nginx::upstream;

/// The programs and modules that subjects are made of.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    /// nginx, which is also the upstream.
    pub(super) nginx: PathBuf,
    /// HAProxy.
    pub(super) haproxy: PathBuf,
    /// The folder of Envoy, Traefik and Caddy.
    pub(super) wheels: PathBuf,
    /// gofe.
    pub(super) gofe: PathBuf,
    /// The filter as a plugin of gofe.
    pub(super) gofe_filter: PathBuf,
    /// The filter as a proxy-wasm module.
    pub(super) proxy_wasm_filter: PathBuf,
    /// The filter as an http-wasm module.
    pub(super) http_wasm_filter: PathBuf,
    /// The client that does handshakes; empty where no scenario has it.
    pub(super) handshake: PathBuf,
    /// The client of the open loop; empty where no scenario has it.
    pub(super) open_loop: PathBuf,
    /// The certificate of TLS listeners, PEM.
    pub(super) certificate: PathBuf,
    /// Its key, PEM.
    pub(super) key: PathBuf,
}

/// Where and how one subject runs.
#[derive(Debug)]
pub(super) struct Place<'a> {
    /// What it is made of.
    pub(super) parts: &'a Parts,
    /// A folder for its files.
    pub(super) folder: PathBuf,
    /// Where it listens, on the loopback address.
    pub(super) port: u16,
    /// Where the upstream listens.
    pub(super) upstream: u16,
    /// How many workers it has.
    pub(super) workers: usize,
    /// How clients talk to it.
    pub(super) protocol: Protocol,
}

impl Place<'_> {
    /// Writes the subject's files and returns the command that runs it in the foreground.
    pub(super) fn command(&self, subject: Subject) -> Result<Command> {
        fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))?;
        let filters = subject.filters();
        let mut command = match subject.product() {
            Product::Nginx => nginx::command(self),
            Product::Haproxy => haproxy::command(self),
            Product::Envoy => envoy::command(self, filters),
            Product::Traefik => traefik::command(self, filters),
            Product::Caddy => caddy::command(self),
            Product::Gofe => gofe::command(self, filters),
        }?;
        command.env("GOMAXPROCS", self.workers.to_string()).envs(self.home());
        Ok(command)
    }

    /// Nothing is left in the user's folders.
    fn home(&self) -> [(&'static str, &Path); 3] {
        ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"].map(|variable| (variable, self.folder.as_path()))
    }

    /// `gofe check` on the configuration that `command` runs: why gofe cannot do what the scenario asks. It
    /// also fills the cache of compiled plugins, so that the process that is measured does not compile.
    pub(super) fn refused_by_gofe(&self, command: &Command) -> Option<String> {
        let mut check = Command::new(&self.parts.gofe);
        check.arg("check").args(command.get_args().skip(1)).envs(self.home());
        match check.output() {
            Ok(output) if output.status.success() => None,
            Ok(output) => {
                let folder = format!("{}/", self.folder.display());
                let text = [output.stderr, output.stdout].concat();
                let text = String::from_utf8_lossy(&text).replace(&folder, "");
                Some(text.trim_start_matches("error: ").trim_end().to_owned())
            }
            Err(error) => Some(format!("it could not be started: {error}")),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.folder.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    fn wheel(&self, name: &str) -> Command {
        Command::new(self.parts.wheels.join(name))
    }
}

/// A text, when it is wanted.
fn when(wanted: bool, text: impl FnOnce() -> String) -> String {
    if wanted { text() } else { String::new() }
}
