//! Building packages to WASM modules, so that the same sources give the same bytes in any folder.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::workspace::{Package, WASM, Workspace};
use crate::{process, setup};

/// Builds modules.
pub(crate) struct Builder<'a> {
    workspace: &'a Workspace,
    flags: String,
}

impl<'a> Builder<'a> {
    /// Makes sure of the targets, and finds out which paths must not get into a module.
    pub(crate) fn new(workspace: &'a Workspace) -> Result<Self> {
        setup::targets(workspace)?;
        let sysroot = process::output(Command::new("rustc").current_dir(&workspace.root).args(["--print", "sysroot"]))?;
        // With the component rust-src, messages of the standard library carry the place where it is installed.
        let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust");
        let mut remaps = vec![(workspace.root.clone(), "/gofe"), (library, "/rust")];
        remaps.extend(dependency_folders(workspace)?.into_iter().map(|folder| (folder, "/cargo")));
        let flags = remaps.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
        Ok(Self { workspace, flags: flags.collect::<Vec<_>>().join("\u{1f}") })
    }

    /// Builds one package with the profile `plugin` and returns the module's path. One call of cargo for each package, so that no package
    /// gets features because another asked for them.
    pub(crate) fn build(&self, package: &Package) -> Result<PathBuf> {
        self.build_with(package, "plugin")
    }

    /// The same with another profile.
    pub(crate) fn build_with(&self, package: &Package, profile: &str) -> Result<PathBuf> {
        let module = package.module.as_ref().with_context(|| format!("{} has no cdylib target", package.name))?;
        let folder = self.workspace.target.join("plugins");
        let mut command = self.workspace.cargo();
        command.args(["build", "--locked", "--profile", profile, "--lib", "--target", &package.wasm_target]);
        command.args(["--package", &package.name]).arg("--target-dir").arg(&folder);
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PROFILE_")) {
            command.env_remove(name);
        }
        // This variable beats RUSTFLAGS and the configuration files, and allows blanks in paths.
        command.env("CARGO_ENCODED_RUSTFLAGS", &self.flags).env("CARGO_INCREMENTAL", "0");
        process::run(&mut command)?;
        let built = folder.join(&package.wasm_target).join(profile).join(format!("{}.wasm", module.replace('-', "_")));
        anyhow::ensure!(built.is_file(), "cargo built {}, but there is no {}", package.name, built.display());
        Ok(built)
    }
}

/// The compiler and the host it runs on: what must be the same for the same bytes.
pub(crate) fn toolchain(workspace: &Workspace) -> Result<String> {
    let text = process::output(Command::new("rustc").current_dir(&workspace.root).arg("-vV"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc -vV` names no host")?;
    let version = text.lines().next().context("`rustc -vV` is silent")?;
    Ok(format!("{version} on {host}"))
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    manifest_path: PathBuf,
    source: Option<String>,
}

/// The folders that hold the sources of dependencies. The one of a registry carries a number that depends on
/// how the registry is reached, so the whole folder must go, not only the cargo home before it.
fn dependency_folders(workspace: &Workspace) -> Result<BTreeSet<PathBuf>> {
    let question = ["metadata", "--format-version=1", "--locked", "--filter-platform", WASM];
    let text = process::output(workspace.cargo().args(question))?;
    let metadata: Metadata = serde_json::from_str(&text).context("the answer of cargo metadata")?;
    let outside = metadata.packages.iter().filter(|package| package.source.is_some());
    Ok(outside.filter_map(|package| Some(package.manifest_path.parent()?.parent()?.to_path_buf())).collect())
}
