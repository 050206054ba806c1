//! The digest of all that a standard plugin is made from.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::hex;
use crate::process;
use crate::workspace::{Package, WASM, Workspace};

/// The profiles of the root manifest that decide how plugins are built.
const PROFILES: [&str; 2] = ["[profile.plugin]", "[profile.release]"];

/// SHA-256 over the paths and contents of the plugin's folder, the SDK and the contract, the profiles, and the
/// dependencies with their versions and features.
pub(super) fn digest(workspace: &Workspace, package: &Package) -> Result<String> {
    let mut hash = Sha256::new();
    for folder in [package.folder.as_path(), Path::new("plugin-sdk/rust"), Path::new("wit")] {
        for file in files(&workspace.root, folder)? {
            let content = fs::read(workspace.root.join(&file))?;
            let name = file.to_str().with_context(|| format!("{} is not UTF-8", file.display()))?.replace('\\', "/");
            update(&mut hash, name.as_bytes());
            update(&mut hash, &content);
        }
    }
    update(&mut hash, profiles(&fs::read_to_string(workspace.root.join("Cargo.toml"))?).as_bytes());
    for line in dependencies(workspace, package)? {
        update(&mut hash, line.as_bytes());
    }
    Ok(hex(&hash.finalize()))
}

/// The length goes before the bytes, so that no two lists of parts look the same.
fn update(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_le_bytes());
    hash.update(part);
}

/// The files below a folder that can change a module: no tests, no pages, nothing hidden.
fn files(root: &Path, folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root.join(&folder)).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = folder.join(&name);
            // A link to a folder only says again what is in the tree.
            let link_to_folder = entry.file_type()?.is_symlink() && root.join(&path).is_dir();
            if name.starts_with('.') || name.ends_with('~') || link_to_folder {
                continue;
            }
            if entry.file_type()?.is_dir() {
                if !["target", "tests", "examples", "benches"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if path.extension().is_none_or(|end| end != "md") {
                found.insert(path);
            }
        }
    }
    Ok(found)
}

/// The lines of the root manifest that belong to [`PROFILES`].
fn profiles(manifest: &str) -> String {
    let mut wanted = false;
    let mut text = String::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            wanted = PROFILES.contains(&line);
        }
        if wanted && !line.is_empty() && !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// Every dependency with its version and features, as they are when this package is built alone.
fn dependencies(workspace: &Workspace, package: &Package) -> Result<BTreeSet<String>> {
    let mut command = workspace.cargo();
    command.args(["tree", "--locked", "--package", &package.name, "--target", WASM, "--edges", "normal,build"]);
    command.args(["--no-dedupe", "--prefix", "none", "--format", "{p}\u{1f}{f}"]);
    let text = process::output(&mut command)?;
    Ok(text.lines().map(without_place).collect())
}

/// A package of the workspace is followed by its folder, which is no matter of its content.
fn without_place(line: &str) -> String {
    let (package, features) = line.split_once('\u{1f}').unwrap_or((line, ""));
    let place = package.find(" (/").or_else(|| package.find(":\\").and_then(|at| package[..at].rfind(" (")));
    let package = place.map_or(package, |at| &package[..at]);
    format!("{package} {features}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_decides_the_bytes_is_taken_from_the_root_manifest() {
        let manifest =
            "[profile.dev]\ndebug = true\n\n[profile.plugin]\n# why\ninherits = \"release\"\n\n[workspace]\nx = 1\n";
        assert_eq!(profiles(manifest), "[profile.plugin]\ninherits = \"release\"\n");
    }

    #[test]
    fn the_place_of_the_workspace_does_not_count() {
        assert_eq!(without_place("gofe-plugin v0.1.0 (/a/plugin-sdk/rust)\u{1f}default"), "gofe-plugin v0.1.0 default");
        assert_eq!(without_place("gofe-plugin v0.1.0 (C:\\a\\rust)\u{1f}default"), "gofe-plugin v0.1.0 default");
        assert_eq!(without_place("serde_derive v1.0.1 (proc-macro)\u{1f}"), "serde_derive v1.0.1 (proc-macro) ");
    }
}
