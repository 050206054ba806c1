//! From the bytes of a plugin to compiled code: what kind it is, its digest, and the cache of compiled code on disk.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tracing::{debug, warn};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmtime::component::Component;

use super::Engine;

/// SHA-256 of a plugin's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

/// The plugin ABIs that gofe tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// gofe's own world, as a component or as a core module that carries the world.
    Gofe,
}

impl Abi {
    /// The name in the admin API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gofe => "gofe:plugin@0.1",
        }
    }
}

/// Compiled code, ready to be instantiated.
pub struct Artifact {
    /// The digest of the bytes that it was compiled from.
    pub digest: Digest,
    /// What it speaks.
    pub abi: Abi,
    pub(super) component: Component,
}

/// Why bytes are not a plugin.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Nothing there.
    #[error("the file is empty")]
    Empty,
    /// No magic number.
    #[error("this is not WebAssembly: it begins with {0:02x?} and not with `\\0asm`")]
    NotWasm(Vec<u8>),
    /// WebAssembly, but not for gofe.
    #[error("this is a WebAssembly module, but not a gofe plugin: {0}")]
    NotAPlugin(String),
    /// The compiler refuses it.
    #[error("it does not compile: {0}")]
    Compile(String),
}

impl Artifact {
    /// Compiles a plugin, or takes it from the cache in the folder `cache`.
    ///
    /// # Errors
    /// When the bytes are not a plugin or do not compile. Trouble with the cache is logged and costs time only.
    pub fn load(engine: &Engine, bytes: &[u8], cache: Option<&Path>) -> Result<Self, ArtifactError> {
        let digest = Digest::of(bytes);
        let cached = cache.map(|folder| Cache::new(engine, folder, &digest));
        if let Some(component) = cached.as_ref().and_then(|cached| cached.read(engine)) {
            return Ok(Self { digest, abi: Abi::Gofe, component });
        }
        let component = Component::new(engine.wasmtime(), componentize(engine, bytes)?)
            .map_err(|error| ArtifactError::Compile(format!("{error:#}")))?;
        if let Some(cached) = cached {
            cached.write(&component);
        }
        Ok(Self { digest, abi: Abi::Gofe, component })
    }
}

/// A component as it is; a core module with a world's type section turned into a component.
fn componentize<'a>(engine: &Engine, bytes: &'a [u8]) -> Result<std::borrow::Cow<'a, [u8]>, ArtifactError> {
    const MAGIC: &[u8] = b"\0asm";
    const COMPONENT_LAYER: &[u8] = &[1, 0];
    if bytes.is_empty() {
        return Err(ArtifactError::Empty);
    }
    if bytes.len() < 8 || !bytes.starts_with(MAGIC) {
        return Err(ArtifactError::NotWasm(bytes[..bytes.len().min(4)].to_vec()));
    }
    if &bytes[6..8] == COMPONENT_LAYER {
        return Ok(bytes.into());
    }
    // The crates below panic on a module that ends in the middle, as a file does while it is being written.
    wasmtime::Module::validate(engine.wasmtime(), bytes)
        .map_err(|error| ArtifactError::Compile(format!("{error:#}")))?;
    // They also panic on some type sections that no bindings generator writes; the file is a stranger's.
    std::panic::catch_unwind(|| encode(bytes))
        .unwrap_or_else(|_| Err(ArtifactError::NotAPlugin("its type section cannot be read".to_owned())))
        .map(Into::into)
}

/// A component made of a core module by the world that it carries.
fn encode(bytes: &[u8]) -> Result<Vec<u8>, ArtifactError> {
    if !matches!(wit_component::metadata::decode(bytes), Ok((Some(_), _))) {
        let reason = "it does not carry the type section of a world; build it with a gofe SDK".to_owned();
        return Err(ArtifactError::NotAPlugin(reason));
    }
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(bytes)
        .and_then(|encoder| {
            encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)
        })
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| ArtifactError::NotAPlugin(format!("{error:#}")))
}

/// How many plugins' compiled code is kept; those that were not used for longest make room.
const CACHED: usize = 128;

/// One place in the cache of compiled code. Its name has the digest of the plugin and of everything in the engine that
/// the code depends on, so a new gofe or a new processor never reads old code.
struct Cache {
    path: PathBuf,
}

impl Cache {
    fn new(engine: &Engine, folder: &Path, digest: &Digest) -> Self {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        engine.wasmtime().precompile_compatibility_hash().hash(&mut hasher);
        Self { path: folder.join(format!("{:016x}", hasher.finish())).join(format!("{digest}.cwasm")) }
    }

    #[expect(unsafe_code, reason = "wasmtime cannot check compiled code; see the comment at the call")]
    fn read(&self, engine: &Engine) -> Option<Component> {
        if !self.path.exists() || !self.is_ours() {
            return None;
        }
        // SAFETY: the file was written by `write` below: whole (it is renamed into its place), into a folder that only this
        // user may write to, which `is_ours` has just checked, under a name made of the engine's compatibility hash.
        match unsafe { Component::deserialize_file(engine.wasmtime(), &self.path) } {
            Ok(component) => {
                // The time of the last use decides who makes room; where it cannot be set, that of the writing does.
                let _ = fs::File::open(&self.path).and_then(|file| file.set_modified(SystemTime::now()));
                Some(component)
            }
            Err(error) => {
                warn!(path = %self.path.display(), "compiled code in the cache is not usable: {error:#}");
                None
            }
        }
    }

    /// Whether nobody but this user could have written the file.
    fn is_ours(&self) -> bool {
        let private = |path: &Path| {
            fs::symlink_metadata(path).is_ok_and(|found| {
                let own = fs::metadata("/proc/self").map_or(found.uid(), |process| process.uid());
                found.uid() == own && found.permissions().mode() & 0o022 == 0 && !found.is_symlink()
            })
        };
        self.path.parent().is_some_and(private) && private(&self.path)
    }

    fn write(&self, component: &Component) {
        if let Err(error) = self.try_write(component) {
            debug!(path = %self.path.display(), "compiled code is not cached: {error:#}");
        }
    }

    fn try_write(&self, component: &Component) -> wasmtime::Result<()> {
        let Some(folder) = self.path.parent() else { return Ok(()) };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let code = component.serialize()?;
        let partial = self.path.with_extension(format!("{}.part", std::process::id()));
        let mut file = fs::File::create(&partial)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(&code)?;
        fs::rename(&partial, &self.path)?;
        make_room(folder)?;
        Ok(())
    }
}

/// Removes what was not used for longest: each swap brings another file.
fn make_room(folder: &Path) -> std::io::Result<()> {
    let entries = fs::read_dir(folder)?.filter_map(Result::ok);
    let mut files: Vec<_> =
        entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
    files.sort_unstable();
    for (_, file) in files.iter().rev().skip(CACHED) {
        fs::remove_file(file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Artifact, ArtifactError};
    use crate::wasm::Engine;

    /// Bytes flipped all over a real plugin, also in its type section: an error or a component, never a panic.
    #[test]
    fn damaged_plugins_are_errors() {
        let engine = Engine::new().unwrap();
        let plugin = include_bytes!("../../../plugins/dist/rate-limit.wasm");
        assert!(super::componentize(&engine, plugin).is_ok());
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..300 {
            let mut bytes = plugin.to_vec();
            for _ in 0..8 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Half of the damage goes to the end, where the custom sections are.
                let span = if random & 1 == 0 { bytes.len() } else { 4096 };
                let at = bytes.len() - 1 - (random >> 33) as usize % span;
                bytes[at] = (random >> 17) as u8;
            }
            let _ = super::componentize(&engine, &bytes);
        }
    }

    #[test]
    fn what_is_no_plugin_is_named() {
        let engine = Engine::new().unwrap();
        let load = |bytes: &[u8]| Artifact::load(&engine, bytes, None).map(|_| ());
        assert!(matches!(load(b""), Err(ArtifactError::Empty)));
        assert!(matches!(load(b"#!/bin/sh"), Err(ArtifactError::NotWasm(_))));
        assert!(matches!(load(b"\0asm\x01\0\0\0"), Err(ArtifactError::NotAPlugin(_))));
    }
}
