//! Where configuration and plugins come from: a YAML file, the plugin files that it names, and the standard plugins
//! in the binary.

mod standard;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::config::{self, Diagnostics, Loaded, PluginSource, Tls, UpstreamTls};
use crate::snapshot::{Code, code_name};

/// A configuration with the code of its plugins: all that is needed to bring it back later.
#[derive(Debug)]
pub struct Bundle {
    /// The configuration.
    pub loaded: Arc<Loaded>,
    /// The bytes of each plugin, by its name, or why they cannot be read.
    pub code: Code,
    /// SHA-256 over the file's text, all plugins and all certificates with their keys, in hexadecimal.
    pub digest: String,
}

impl Bundle {
    /// Reads a configuration file and the plugins that it names.
    ///
    /// # Errors
    /// All mistakes in the file. A plugin that cannot be read is not one yet: its failure policy decides.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        let loaded = Arc::new(config::load(path)?);
        let code: Code = sources(&loaded).map(|(name, source)| (name, read(source))).collect();
        let mut hasher = Sha256::new_with_prefix(loaded.source.text());
        for (name, bytes) in &code {
            hasher.update(name);
            hasher.update(bytes.as_deref().unwrap_or_default());
        }
        // A snapshot reads them itself, so that a rollback brings no certificate back that has been renewed since.
        for file in tls_files(&loaded) {
            hasher.update(std::fs::read(file).unwrap_or_default());
        }
        let digest = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { loaded, code, digest })
    }
}

/// The files that a configuration is read from.
pub fn files(loaded: &Loaded) -> Vec<PathBuf> {
    let plugins = sources(loaded).filter_map(|(_, source)| match source {
        PluginSource::File(path) => Some(path.clone()),
        PluginSource::Standard(_) => None,
    });
    std::iter::once(PathBuf::from(loaded.source.name())).chain(plugins).chain(tls_files(loaded)).collect()
}

/// Where the code of plugins and of upstreams' components is, by the names that it has in [`Code`].
fn sources(loaded: &Loaded) -> impl Iterator<Item = (String, &PluginSource)> {
    let plugins = loaded.config.plugins.iter().map(|(name, plugin)| (name.clone(), &plugin.source));
    let upstreams = loaded.config.upstreams.iter();
    let components =
        upstreams.filter_map(|(name, upstream)| Some((code_name(name), &upstream.backend.component()?.code.source)));
    plugins.chain(components)
}

/// The files of certificates and their keys.
fn tls_files(loaded: &Loaded) -> impl Iterator<Item = PathBuf> {
    let listeners = loaded.config.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let upstreams = loaded.config.upstreams.values().filter_map(|upstream| upstream.sending.tls.as_ref());
    let upstreams = upstreams.flat_map(UpstreamTls::files);
    listeners.flat_map(Tls::files).chain(upstreams).map(Path::to_owned)
}

fn read(source: &PluginSource) -> Result<Bytes, String> {
    match source {
        PluginSource::Standard(name) => {
            standard::find(name).map(Bytes::from_static).ok_or_else(|| format!("this gofe has no plugin `std:{name}`"))
        }
        PluginSource::File(path) => std::fs::read(path)
            .map(Bytes::from)
            .map_err(|error| format!("the plugin's file {} cannot be read: {error}", path.display())),
    }
}
