//! What the tests need beside stable Rust: targets and components by rustup, curl, a C++ compiler, valgrind, and on
//! request cargo-deny.

use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::{WASI, WASM, Workspace};

/// Makes sure of all that `cargo xtask test` cannot do without. What is there is left alone.
pub(crate) fn ensure(workspace: &Workspace) -> Result<()> {
    targets(workspace)?;
    components(workspace)?;
    curl()
}

/// Also gets what the other commands use where it is there.
pub(crate) fn all(workspace: &Workspace) -> Result<()> {
    ensure(workspace)?;
    if !cpp()? {
        eprintln!("a C++ compiler is not there; without it, `cargo xtask test` searches nothing with libFuzzer");
    }
    if !valgrind()? {
        eprintln!("valgrind is not there; without it, `cargo xtask test` counts no instructions");
    }
    cargo_deny(workspace)
}

/// Adds the WASM targets that the toolchain does not have.
pub(crate) fn targets(workspace: &Workspace) -> Result<()> {
    let missing: Vec<_> = [WASM, WASI].into_iter().filter(|target| !has_target(workspace, target)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    rustup(workspace, &["target", "add"], &missing)
}

/// Adds clippy and rustfmt where the toolchain lacks them.
pub(crate) fn components(workspace: &Workspace) -> Result<()> {
    let lacks = |command: &str| !process::succeeds(workspace.cargo().args([command, "--version"]));
    let tools = [("clippy", "clippy"), ("fmt", "rustfmt")];
    let missing: Vec<_> = tools.into_iter().filter(|(command, _)| lacks(command)).map(|(_, name)| name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    rustup(workspace, &["component", "add"], &missing)
}

/// Installs cargo-deny, which the lints use where it is there.
fn cargo_deny(workspace: &Workspace) -> Result<()> {
    if has_cargo_deny(workspace) {
        return Ok(());
    }
    process::run(workspace.cargo().args(["install", "--locked", "cargo-deny"]))
}

/// Whether cargo-deny is installed.
pub(crate) fn has_cargo_deny(workspace: &Workspace) -> bool {
    process::succeeds(workspace.cargo().args(["deny", "--version"]))
}

/// A target is there when its libraries are, whoever installed them.
fn has_target(workspace: &Workspace, target: &str) -> bool {
    let question = ["--print", "target-libdir", "--target", target];
    let answer = process::output(Command::new("rustc").current_dir(&workspace.root).args(question));
    answer.is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

fn rustup(workspace: &Workspace, action: &[&str], missing: &[&str]) -> Result<()> {
    let mut command = Command::new("rustup");
    command.current_dir(&workspace.root);
    if !process::succeeds(command.arg("--version")) {
        bail!(
            "the Rust toolchain lacks {}, and there is no rustup to add it. Install rustup (https://rustup.rs), or \
             these parts by the way in which the toolchain was installed",
            missing.join(", ")
        );
    }
    process::run(Command::new("rustup").current_dir(&workspace.root).args(action).args(missing))
}

/// Adds what merges the counts of a training run, and is of the compiler's own version.
pub(crate) fn llvm_tools(workspace: &Workspace) -> Result<()> {
    if llvm_profdata()?.is_file() {
        return Ok(());
    }
    rustup(workspace, &["component", "add"], &["llvm-tools"])
}

/// Where the toolchain has llvm-profdata.
pub(crate) fn llvm_profdata() -> Result<PathBuf> {
    let libraries = process::output(Command::new("rustc").args(["--print", "target-libdir"]))?;
    Ok(Path::new(libraries.trim()).with_file_name("bin").join(format!("llvm-profdata{EXE_SUFFIX}")))
}

/// Makes sure of h2load, a client of HTTP/1.1 and HTTP/2.
pub(crate) fn h2load() -> Result<()> {
    if process::succeeds(Command::new("h2load").arg("--version")) {
        return Ok(());
    }
    if !can_install() {
        bail!("this needs h2load. Install the package that has it, for example `sudo apt-get install nghttp2-client`");
    }
    install(&["nghttp2-client"])
}

fn curl() -> Result<()> {
    if process::succeeds(Command::new("curl").arg("--version")) {
        return Ok(());
    }
    if !can_install() {
        bail!(
            "the tests need curl. Install the package `curl` of your system, for example `sudo apt-get install curl`"
        );
    }
    install(&["curl", "ca-certificates"])
}

/// Packages of Python that tests use: real clients and servers of another language.
const PYTHON_PACKAGES: [&str; 1] = ["websockets==17.4"];

/// The Python that has the packages, in an environment of its own. Nothing where it cannot be had: then the tests that use
/// it leave that part out.
pub(crate) fn python() -> Result<Option<PathBuf>> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    let folder = cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("gofe-tests");
    let python = folder.join("bin/python");
    // The file says what is there; pip needs seconds to say so.
    let (marker, wanted) = (folder.join("installed"), PYTHON_PACKAGES.join("\n"));
    if python.is_file() && fs::read_to_string(&marker).is_ok_and(|text| text == wanted) {
        return Ok(Some(python));
    }
    if !process::succeeds(Command::new("python3").args(["-c", "import ensurepip"])) && can_install() {
        install(&["python3-venv"])?;
    }
    let venv = process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    let installed = venv.and_then(|()| {
        process::run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PYTHON_PACKAGES))
    });
    if let Err(error) = installed {
        eprintln!("{error:#}\nwithout Python's {}, some tests are left out", PYTHON_PACKAGES.join(" and "));
        return Ok(None);
    }
    fs::write(&marker, wanted)?;
    Ok(Some(python))
}

/// Makes sure of npm and Node.js, which build guests in AssemblyScript and JavaScript. False where they are not there and cannot be had.
pub(crate) fn npm() -> Result<bool> {
    let is_there = || ["npm", "node"].into_iter().all(|name| process::succeeds(Command::new(name).arg("--version")));
    if is_there() || !can_install() {
        return Ok(is_there());
    }
    if let Err(error) = install(&["nodejs", "npm"]) {
        eprintln!("{error:#}");
    }
    Ok(is_there())
}

/// Makes sure of valgrind, which counts instructions. False where it is not there and cannot be had.
pub(crate) fn valgrind() -> Result<bool> {
    let is_there = || process::succeeds(Command::new("valgrind").arg("--version"));
    if is_there() || !can_install() {
        return Ok(is_there());
    }
    // Without a network the guard is left out, and what went wrong is above that.
    if let Err(error) = install(&["valgrind"]) {
        eprintln!("{error:#}");
    }
    Ok(is_there())
}

/// Makes sure of a C++ compiler, which libFuzzer is built with. False where there is none and none can be had.
pub(crate) fn cpp() -> Result<bool> {
    let is_there = || process::succeeds(Command::new("c++").arg("--version"));
    if is_there() || !can_install() {
        return Ok(is_there());
    }
    // Without a network the search is left out, and what went wrong is above that.
    if let Err(error) = install(&["g++"]) {
        eprintln!("{error:#}");
    }
    Ok(is_there())
}

/// Whether packages of the system can be installed: by root, where it is Debian or its like.
fn can_install() -> bool {
    let root = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    root && process::succeeds(Command::new("apt-get").arg("--version"))
}

fn install(packages: &[&str]) -> Result<()> {
    process::run(Command::new("apt-get").args(["update", "--quiet"]))?;
    let install = ["install", "--yes", "--quiet", "--no-install-recommends"];
    process::run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(install).args(packages))
}
