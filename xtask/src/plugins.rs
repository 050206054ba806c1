//! `cargo xtask plugins`: the standard plugins, from their sources to `plugins/dist`, and the check that both agree.

mod manifest;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::steps::Outcome;
use crate::wasm::{self, Builder};
use crate::workspace::{Package, Workspace};
use manifest::{Entry, Manifest};

const DIST: &str = "plugins/dist";
/// The most bytes of all standard plugins together.
const MAX_TOTAL: u64 = 1 << 20;
const REMEDY: &str = "run `cargo xtask plugins` and commit plugins/dist";

/// Builds every standard plugin into `plugins/dist` and writes the manifest.
pub(crate) fn update(workspace: &Workspace) -> Result<Outcome> {
    let builder = Builder::new(workspace)?;
    let dist = workspace.root.join(DIST);
    fs::create_dir_all(&dist)?;
    let mut manifest = Manifest { toolchain: wasm::toolchain(workspace)?, plugins: Vec::new() };
    for package in workspace.modules_in("plugins") {
        let built = builder.build(package)?;
        let bytes = fs::read(&built)?;
        fs::write(dist.join(format!("{}.wasm", package.short_name())), &bytes)?;
        manifest.plugins.push(entry(workspace, package, &bytes)?);
    }
    manifest.plugins.sort_by(|a, b| a.name.cmp(&b.name));
    for stray in strays(&dist, &manifest)? {
        fs::remove_file(&stray)?;
        eprintln!("removed {}, which no plugin gives", stray.display());
    }
    manifest.write(&dist)?;
    for plugin in &manifest.plugins {
        eprintln!("{:<16} {:>8} bytes  {}", plugin.name, plugin.size, plugin.wasm_digest);
    }
    check_total(&manifest)?;
    Ok(Outcome::Done)
}

/// Fails where `plugins/dist` is not what the sources give. Builds beside it and changes nothing there.
pub(crate) fn check(workspace: &Workspace) -> Result<Outcome> {
    let packages = workspace.modules_in("plugins");
    if packages.is_empty() {
        return Ok(Outcome::Skipped("there is no plugin under plugins/".into()));
    }
    let dist = workspace.root.join(DIST);
    let manifest = Manifest::read(&dist)?;
    let mut problems = compare_files(&dist, &manifest)?;
    let gone = manifest.plugins.iter().filter(|plugin| !packages.iter().any(|p| p.short_name() == plugin.name));
    problems.extend(gone.map(|plugin| format!("{}: in the manifest, but not under plugins/", plugin.name)));
    let toolchain = wasm::toolchain(workspace)?;
    let comparable = toolchain == manifest.toolchain;
    let builder = if comparable { Some(Builder::new(workspace)?) } else { None };
    for package in &packages {
        let built = builder.as_ref().map(|builder| builder.build(package)).transpose()?;
        let bytes = built.as_ref().map_or_else(|| Ok(Vec::new()), fs::read)?;
        problems.extend(compare(&manifest, &entry(workspace, package, &bytes)?, comparable));
    }
    check_total(&manifest)?;
    if !problems.is_empty() {
        bail!("plugins/dist is not what the sources give; {REMEDY}\n  {}", problems.join("\n  "));
    }
    if comparable {
        return Ok(Outcome::Done);
    }
    eprintln!("plugins/dist was built by {}\nthis is {toolchain}", manifest.toolchain);
    eprintln!("bytes cannot be compared; the digests of the sources agree with the manifest");
    Ok(Outcome::Done)
}

fn entry(workspace: &Workspace, package: &Package, bytes: &[u8]) -> Result<Entry> {
    Ok(Entry {
        name: package.short_name(),
        version: package.version.clone(),
        source_digest: sources::digest(workspace, package)?,
        wasm_digest: hex(&Sha256::digest(bytes)),
        size: bytes.len() as u64,
    })
}

/// What is wrong with the manifest's entry of one plugin.
fn compare(manifest: &Manifest, fresh: &Entry, bytes: bool) -> Vec<String> {
    let name = &fresh.name;
    let Some(known) = manifest.plugins.iter().find(|plugin| plugin.name == *name) else {
        return vec![format!("{name}: not in the manifest")];
    };
    let mut problems = Vec::new();
    if known.source_digest != fresh.source_digest {
        problems.push(format!("{name}: the sources have changed since it was built"));
    }
    if known.version != fresh.version {
        problems.push(format!("{name}: the manifest says version {}, the package {}", known.version, fresh.version));
    }
    if bytes && known.wasm_digest != fresh.wasm_digest {
        let sizes = format!("{} bytes in plugins/dist, {} from the sources", known.size, fresh.size);
        problems.push(format!("{name}: other bytes ({sizes})"));
    }
    problems
}

/// What is wrong with the files of the folder, by the manifest.
fn compare_files(dist: &Path, manifest: &Manifest) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for plugin in &manifest.plugins {
        match fs::read(dist.join(format!("{}.wasm", plugin.name))) {
            Ok(bytes) if hex(&Sha256::digest(&bytes)) == plugin.wasm_digest => {}
            Ok(_) => problems.push(format!("{}: the file is not the one of the manifest", plugin.name)),
            Err(error) => problems.push(format!("{}: {error}", plugin.name)),
        }
    }
    problems.extend(strays(dist, manifest)?.iter().map(|file| format!("{}: not in the manifest", file.display())));
    Ok(problems)
}

/// The modules in the folder that the manifest does not name.
fn strays(dist: &Path, manifest: &Manifest) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(dist).with_context(|| format!("cannot read {}", dist.display()))?;
    let mut strays = Vec::new();
    for file in files {
        let path = file?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let module = path.extension().is_some_and(|end| end == "wasm");
        if module && !manifest.plugins.iter().any(|plugin| plugin.name == name) {
            strays.push(path);
        }
    }
    strays.sort();
    Ok(strays)
}

fn check_total(manifest: &Manifest) -> Result<()> {
    let total: u64 = manifest.plugins.iter().map(|plugin| plugin.size).sum();
    if total > MAX_TOTAL {
        bail!("the standard plugins have {total} bytes together; {MAX_TOTAL} is the limit");
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(name: &str, source: &str, size: u64) -> Entry {
        let digest = |text: &str| hex(&Sha256::digest(text));
        let version = "0.1.0".to_owned();
        Entry { name: name.into(), version, source_digest: digest(source), wasm_digest: digest(name), size }
    }

    #[test]
    fn stale_sources_and_other_bytes_are_named() {
        let manifest = Manifest { toolchain: "rustc".into(), plugins: vec![plugin("jwt", "old", 10)] };
        assert!(compare(&manifest, &plugin("jwt", "old", 10), true).is_empty());
        let stale = compare(&manifest, &plugin("jwt", "new", 10), true);
        assert_eq!(stale, ["jwt: the sources have changed since it was built"]);
        let mut other = plugin("jwt", "old", 12);
        other.wasm_digest = hex(&Sha256::digest("other"));
        assert_eq!(
            compare(&manifest, &other, true),
            ["jwt: other bytes (10 bytes in plugins/dist, 12 from the sources)"]
        );
        assert!(compare(&manifest, &other, false).is_empty(), "another toolchain gives other bytes");
        assert_eq!(compare(&manifest, &plugin("router", "x", 1), true), ["router: not in the manifest"]);
    }

    #[test]
    fn the_total_is_limited() {
        let half = MAX_TOTAL / 2;
        let mut manifest =
            Manifest { toolchain: String::new(), plugins: vec![plugin("a", "", half), plugin("b", "", half)] };
        assert!(check_total(&manifest).is_ok());
        manifest.plugins.push(plugin("c", "", 1));
        assert!(check_total(&manifest).is_err());
    }
}
