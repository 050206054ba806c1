//! `plugins/dist/manifest.json`: what the modules beside it were built from, and by what.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

const FILE: &str = "manifest.json";

/// The whole manifest.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Manifest {
    /// The compiler and its host. Another one may give other bytes.
    pub(super) toolchain: String,
    /// The plugins, in the order of their names.
    pub(super) plugins: Vec<Entry>,
}

/// One plugin. Digests are SHA-256 in lower-case hexadecimal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Entry {
    /// The name behind `std:`; the file is `<name>.wasm`.
    pub(super) name: String,
    /// The version of the package.
    pub(super) version: String,
    /// The digest of all that the module is made from.
    pub(super) source_digest: String,
    /// The digest of the module.
    pub(super) wasm_digest: String,
    /// The size of the module in bytes.
    pub(super) size: u64,
}

impl Manifest {
    /// Reads the manifest of a folder.
    pub(super) fn read(dist: &Path) -> Result<Self> {
        let file = dist.join(FILE);
        let text = fs::read(&file).with_context(|| format!("cannot read {}; {}", file.display(), super::REMEDY))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not a manifest", file.display()))
    }

    /// Writes the manifest into a folder.
    pub(super) fn write(&self, dist: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        Ok(fs::write(dist.join(FILE), text + "\n")?)
    }
}
