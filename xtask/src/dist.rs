//! `cargo xtask dist`: gofe as it is shipped, built by a compiler that knows which code runs.
//!
//! It is built twice: first with counters, to serve what [`training`] sends, and then by what was counted (profile-guided
//! optimisation). The compiler then keeps apart what a request needs and what it does not, and inlines where it pays.

mod training;

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::workspace::{Workspace, emptied};
use crate::{process, setup};

/// Builds and says where the binary is.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    setup::llvm_tools(workspace)?;
    setup::h2load()?;
    let folder = workspace.target.join("training");
    let counts = folder.join("counts");
    // Those that are there are of another build.
    emptied(&counts)?;
    let flag = format!("-Cprofile-generate={}", counts.display());
    let counting = compile(workspace, &flag, &folder.join("build"))?;
    training::run(workspace, &counting, &folder)?;
    let profile = merge(&counts, &folder.join("profile"))?;
    let built = compile(workspace, &format!("-Cprofile-use={}", profile.display()), &workspace.target)?;
    eprintln!("{}", built.display());
    Ok(())
}

/// The binary that was named, or the one that [`run`] leaves.
pub(crate) fn named(workspace: &Workspace, named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return path.canonicalize().with_context(|| format!("there is no {}", path.display()));
    }
    let path = path(&workspace.target)?;
    ensure!(path.is_file(), "{} is not there: run `cargo xtask dist`, or name a binary by --gofe", path.display());
    Ok(path)
}

/// With a target named, cargo puts the binary below it, and build scripts do not get the flag.
fn path(target: &Path) -> Result<PathBuf> {
    Ok(target.join(host()?).join("dist").join(format!("gofe{EXE_SUFFIX}")))
}

fn compile(workspace: &Workspace, flag: &str, target: &Path) -> Result<PathBuf> {
    let mut command = workspace.cargo();
    command.args([
        "build",
        "--locked",
        "--profile",
        "dist",
        "--package",
        "gofe",
        "--bin",
        "gofe",
        "--target",
        &host()?,
    ]);
    process::run(command.arg("--target-dir").arg(target).env("CARGO_ENCODED_RUSTFLAGS", flag))?;
    path(target)
}

/// One profile of all counts, in the place of that of the build before. Its name has its digest: cargo does not look into the file, and builds anew only where the
/// flag differs.
fn merge(counts: &Path, folder: &Path) -> Result<PathBuf> {
    emptied(folder)?;
    let merged = folder.join("merged.profdata");
    process::run(Command::new(setup::llvm_profdata()?).arg("merge").arg("-o").arg(&merged).arg(counts))?;
    let digest = Sha256::digest(fs::read(&merged)?);
    let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let named = folder.join(name + ".profdata");
    fs::rename(merged, &named)?;
    Ok(named)
}

/// The triple of this machine.
fn host() -> Result<String> {
    let about = process::output(Command::new("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not name its host")
}
