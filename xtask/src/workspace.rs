//! The workspace as cargo sees it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// The target of the standard plugins, and of a guest that names no other.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";
/// The target of guests that need WASI.
pub(crate) const WASI: &str = "wasm32-wasip2";

/// The workspace's folders and packages.
pub(crate) struct Workspace {
    /// The root folder.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
    /// The packages, in the order of their names.
    pub(crate) packages: Vec<Package>,
}

/// One package of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// The package's name.
    pub(crate) name: String,
    /// The package's version.
    pub(crate) version: String,
    /// The package's folder, relative to the root.
    pub(crate) folder: PathBuf,
    /// The name of its C library target, which is what becomes a WASM module.
    pub(crate) module: Option<String>,
    /// The WASM target: `package.metadata.gofe.target`, or [`WASM`].
    pub(crate) wasm_target: String,
}

impl Package {
    /// The last part of the folder: the name of a plugin or a guest.
    pub(crate) fn short_name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Workspace {
    /// Asks cargo. Needs no network.
    pub(crate) fn load() -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text =
            process::output(process::cargo(here).args(["metadata", "--no-deps", "--format-version=1", "--locked"]))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let metadata: Metadata = serde_json::from_str(text).context("the answer of cargo metadata")?;
        let root = metadata.workspace_root;
        let mut packages = metadata.packages.into_iter().map(|raw| raw.checked(&root)).collect::<Result<Vec<_>>>()?;
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { root, target: metadata.target_directory, packages })
    }

    /// A command of cargo in this workspace.
    pub(crate) fn cargo(&self) -> Command {
        process::cargo(&self.root)
    }

    /// The packages that lie directly in this folder and give a WASM module.
    pub(crate) fn modules_in(&self, folder: &str) -> Vec<&Package> {
        let inside =
            |package: &&Package| package.folder.parent() == Some(Path::new(folder)) && package.module.is_some();
        self.packages.iter().filter(inside).collect()
    }

    /// The package of this name.
    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The binary `gofe` that [`Self::build_gofe`] builds.
    pub(crate) fn gofe(&self) -> PathBuf {
        self.target.join("debug").join(format!("gofe{}", std::env::consts::EXE_SUFFIX))
    }

    /// Builds `gofe` together with the tests: one selection of features for both, so that wasmtime is built once.
    pub(crate) fn build_gofe(&self) -> Result<()> {
        process::run(self.cargo().args(["build", "--locked", "--workspace", "--bin", "gofe", "--tests"]))
    }

    /// The files that git knows or would add, relative to the root and sorted.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let text = process::output(Command::new("git").current_dir(&self.root).args(list))
            .context("the list of files comes from git")?;
        let mut files: Vec<_> = text.split_terminator('\0').map(PathBuf::from).collect();
        files.retain(|file| self.root.join(file).is_file());
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The text of a file of the workspace; nothing where it is not UTF-8.
    pub(crate) fn text(&self, file: &Path) -> Result<Option<String>> {
        let bytes = fs::read(self.root.join(file)).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(String::from_utf8(bytes).ok())
    }
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
    packages: Vec<RawPackage>,
}

#[derive(Deserialize)]
struct RawPackage {
    name: String,
    version: String,
    manifest_path: PathBuf,
    targets: Vec<RawTarget>,
    metadata: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct RawTarget {
    name: String,
    crate_types: Vec<String>,
}

impl RawPackage {
    fn checked(self, root: &Path) -> Result<Package> {
        let folder = self.manifest_path.parent().and_then(|folder| folder.strip_prefix(root).ok());
        let folder = folder.with_context(|| format!("{} lies outside the workspace", self.name))?.to_path_buf();
        let module = self.targets.iter().find(|target| target.crate_types.iter().any(|kind| kind == "cdylib"));
        let wasm_target = self.metadata.as_ref().and_then(|value| value.pointer("/gofe/target")?.as_str());
        Ok(Package {
            module: module.map(|target| target.name.clone()),
            wasm_target: wasm_target.unwrap_or(WASM).to_owned(),
            name: self.name,
            version: self.version,
            folder,
        })
    }
}

/// Makes a folder that has nothing in it, whatever was there.
pub(crate) fn emptied(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir_all(folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{
        "workspace_root": "/w", "target_directory": "/w/target",
        "packages": [
            {"name": "gofe-router", "version": "0.1.0", "manifest_path": "/w/plugins/router/Cargo.toml",
             "targets": [{"name": "gofe_router", "crate_types": ["cdylib", "rlib"]}], "metadata": null},
            {"name": "gofe", "version": "0.1.0", "manifest_path": "/w/proxy/Cargo.toml",
             "targets": [{"name": "gofe", "crate_types": ["lib"]}], "metadata": null},
            {"name": "guest-python", "version": "0.1.0", "manifest_path": "/w/tests/guests/wasi/Cargo.toml",
             "targets": [{"name": "guest_wasi", "crate_types": ["cdylib"]}],
             "metadata": {"gofe": {"target": "wasm32-wasip2"}}}
        ]}"#;

    #[test]
    fn plugins_and_guests_are_found_by_their_folder() {
        let workspace = Workspace::parse(ANSWER).unwrap();
        let plugins = workspace.modules_in("plugins");
        assert_eq!(plugins.len(), 1);
        assert_eq!((plugins[0].short_name().as_str(), plugins[0].wasm_target.as_str()), ("router", WASM));
        let guests = workspace.modules_in("tests/guests");
        assert_eq!((guests[0].short_name().as_str(), guests[0].wasm_target.as_str()), ("wasi", WASI));
        assert!(workspace.modules_in(".").is_empty());
        assert!(workspace.package("gofe").is_some() && workspace.package("router").is_none());
    }
}
