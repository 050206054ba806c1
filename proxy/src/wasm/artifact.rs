//! From the bytes of a plugin to compiled code: what kind it is, its digest, and the cache of compiled code on disk.

mod cache;

use std::fmt;
use std::panic::UnwindSafe;
use std::path::Path;
use std::thread;
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use tracing::debug;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmtime::Module;
use wasmtime::component::Component;

use super::recognise::{Abi, Shape};
use super::{Engine, LoadError};
use cache::Cache;

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

/// What every WebAssembly file begins with.
pub(super) const MAGIC: &[u8] = b"\0asm";

/// Compiled code, ready to be instantiated.
pub struct Artifact {
    /// The digest of the bytes that it was compiled from.
    pub digest: Digest,
    /// What it speaks.
    pub abi: Abi,
    code: Code,
}

/// Where compiled code is kept between starts.
#[derive(Clone, Copy)]
pub struct Keep<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// Whether it is written by a thread of its own. A swap must not wait for a disk; a start can, and a process that only
    /// checks would end before.
    pub in_background: bool,
}

/// Compiled code of a component or of a core module.
#[derive(Clone)]
pub(super) enum Code {
    Component(Component),
    Module(Module),
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
    /// Compiles a plugin, or takes it from the cache. Where the plugin may change while gofe runs it has a name, under which
    /// its functions are kept for the next version.
    ///
    /// # Errors
    /// When the bytes are not a plugin or do not compile. Trouble with the cache is logged and costs time only.
    pub fn load(
        engine: &Engine,
        bytes: &[u8],
        keep: Option<Keep<'_>>,
        name: Option<&str>,
    ) -> Result<Self, ArtifactError> {
        let digest = Digest::of(bytes);
        let shape = Shape::read(bytes)?;
        let abi = shape.abi()?;
        let concurrent = match abi {
            Abi::WasiHttp(_) => Some(engine.concurrent().map_err(|error| ArtifactError::Compile(error.to_string()))?),
            _ => None,
        };
        let engine = concurrent.as_ref().unwrap_or(engine);
        let cache = keep.map(|keep| Cache::new(engine, keep.folder));
        if let Some(code) = cache.as_ref().and_then(|cache| cache.read(engine, &digest)) {
            return Ok(Self { digest, abi, code });
        }
        let began = Instant::now();
        let compile = || engine.compile(|| compile(engine, bytes, &shape, abi));
        let (code, functions) = match name {
            Some(name) => {
                let stored = || cache.as_ref()?.read_functions(name);
                let (code, functions) = engine.functions().reuse(name, stored, compile)?;
                (code, Some((name.to_owned(), functions)))
            }
            None => (compile()?, None),
        };
        debug!(plugin = name, took = ?began.elapsed(), "compiled");
        if let (Some(cache), Some(keep)) = (cache, keep) {
            let kept = code.clone();
            let write = move || cache.write(&digest, &kept, functions.as_ref());
            match keep.in_background {
                // Where there is no thread to be had it is not kept, as where the disk is full.
                true => drop(thread::Builder::new().name("gofe-cache".into()).spawn(write)),
                false => write(),
            }
        }
        Ok(Self { digest, abi, code })
    }

    /// The compiled component, for the ABIs that are components.
    pub(super) fn component(&self) -> Result<&Component, LoadError> {
        match &self.code {
            Code::Component(component) => Ok(component),
            Code::Module(_) => Err(LoadError::abi(self.abi, "it is a core module and not a component")),
        }
    }

    /// The compiled core module, for the ABIs that are core modules.
    pub(super) fn module(&self) -> Result<&Module, LoadError> {
        match &self.code {
            Code::Module(module) => Ok(module),
            Code::Component(_) => Err(LoadError::abi(self.abi, "it is a component and not a core module")),
        }
    }
}

impl Code {
    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        match self {
            Self::Component(component) => component.serialize(),
            Self::Module(module) => module.serialize(),
        }
    }
}

/// Compiles a plugin: as it is, but for a core module that carries gofe's world and needs more than that.
fn compile(engine: &Engine, bytes: &[u8], shape: &Shape, abi: Abi) -> Result<Code, ArtifactError> {
    let refused = |error: wasmtime::Error| ArtifactError::Compile(format!("{error:#}"));
    let component = |bytes: &[u8]| Component::new(engine.wasmtime(), bytes).map(Code::Component).map_err(refused);
    let module = |bytes: &[u8]| Module::new(engine.wasmtime(), bytes).map(Code::Module).map_err(refused);
    match abi {
        Abi::Gofe if !shape.component && runs_as_it_is(shape, bytes) => {
            // Compiling it is what validates it.
            let code = module(bytes)?;
            guarded(|| carries_the_world(bytes))?;
            Ok(code)
        }
        Abi::Gofe if !shape.component => component(&componentize(engine, bytes)?),
        _ if shape.component => component(bytes),
        _ => module(bytes),
    }
}

/// Makes a component of a core module that carries gofe's world.
fn componentize(engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>, ArtifactError> {
    Module::validate(engine.wasmtime(), bytes).map_err(|error| ArtifactError::Compile(format!("{error:#}")))?;
    guarded(|| carries_the_world(bytes).and_then(|()| encode(bytes)))
}

/// Reads type sections: the crates that do panic on some that no bindings generator writes, and the file is a stranger's. They
/// do so also on a module that ends in the middle, as a file does while it is being written: so it is validated before.
fn guarded<T>(read: impl FnOnce() -> Result<T, ArtifactError> + UnwindSafe) -> Result<T, ArtifactError> {
    let unreadable = || ArtifactError::NotAPlugin("its type section cannot be read".to_owned());
    std::panic::catch_unwind(read).unwrap_or_else(|_| Err(unreadable()))
}

/// Whether a core module has gofe's world in its type section.
fn carries_the_world(bytes: &[u8]) -> Result<(), ArtifactError> {
    if matches!(wit_component::metadata::decode(bytes), Ok((Some(_), _))) {
        return Ok(());
    }
    let reason = "it does not carry the type section of a world; build it with a gofe SDK".to_owned();
    Err(ArtifactError::NotAPlugin(reason))
}

/// Whether a module imports nothing but the contract, exports an allocator under the name of the Canonical ABI, and has its
/// strings in UTF-8.
fn runs_as_it_is(shape: &Shape, bytes: &[u8]) -> bool {
    shape.imports.iter().all(|(module, _)| module.starts_with("gofe:plugin/"))
        && shape.exports.iter().any(|export| export == "cabi_realloc")
        && strings_are_utf8(bytes)
}

/// Whether strings are UTF-8: the world's section says so by the second byte of its part `wit-component-encoding`, behind
/// the version of that part.
fn strings_are_utf8(bytes: &[u8]) -> bool {
    const ENCODING: &[u8] = b"wit-component-encoding";
    memchr::memmem::find_iter(bytes, ENCODING).all(|at| bytes.get(at + ENCODING.len() + 1) == Some(&0))
}

/// A component made of a core module by the world that it carries.
fn encode(bytes: &[u8]) -> Result<Vec<u8>, ArtifactError> {
    // Reading the adapter takes half of the time; a module that has no word of it does not import it. The compiler
    // checks what comes out.
    let adapter = WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME.as_bytes();
    let wants_adapter = memchr::memmem::find(bytes, adapter).is_some();
    wit_component::ComponentEncoder::default()
        .validate(false)
        .module(bytes)
        .and_then(|encoder| match wants_adapter {
            true => encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER),
            false => Ok(encoder),
        })
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| ArtifactError::NotAPlugin(format!("{error:#}")))
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
        let read = |bytes: &[u8]| {
            let shape = super::Shape::read(bytes)?;
            shape.abi()?;
            super::componentize(&engine, bytes).map(drop)
        };
        assert!(read(plugin).is_ok());
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
            let _ = read(&bytes);
        }
    }

    /// What is made with the functions of another version is what would be made without them, byte for byte.
    #[test]
    fn functions_of_the_version_before_change_nothing() {
        let plugin = include_bytes!("../../../plugins/dist/rate-limit.wasm");
        let mut changed = plugin.to_vec();
        // A word in the plugin's data; it stands for any edit.
        let word = b"burst";
        let at = memchr::memmem::find(&changed, word).unwrap();
        changed[at..at + word.len()].copy_from_slice(b"burnt");
        let code = |engine: &Engine, bytes: &[u8]| {
            Artifact::load(engine, bytes, None, Some("p")).unwrap().code.serialize().unwrap()
        };
        let engine = Engine::new().unwrap();
        let first = code(&engine, plugin);
        let second = code(&engine, &changed);
        assert!(first != second);
        assert!(second == code(&Engine::new().unwrap(), &changed));
        assert!(first == code(&engine, plugin));
    }

    #[test]
    fn what_is_no_plugin_is_named() {
        let engine = Engine::new().unwrap();
        let load = |bytes: &[u8]| Artifact::load(&engine, bytes, None, None).map(|_| ());
        assert!(matches!(load(b""), Err(ArtifactError::Empty)));
        assert!(matches!(load(b"#!/bin/sh"), Err(ArtifactError::NotWasm(_))));
        assert!(matches!(load(b"\0asm\x01\0\0\0"), Err(ArtifactError::NotAPlugin(_))));
    }
}
