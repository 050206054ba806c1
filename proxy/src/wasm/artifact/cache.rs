//! The cache of compiled code on disk.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use tracing::{debug, warn};
use wasmtime::component::Component;
use wasmtime::{Module, Precompiled};

use super::super::Engine;
use super::{Code, Digest};

/// How many files are kept; those that were not used for longest make room.
const CACHED: usize = 128;
/// Counts up when gofe makes other code of the same plugin than before, by the same compiler.
const GENERATION: u32 = 2;

/// The folder with what this engine compiled. Its name has a digest of everything in the engine that the code depends on, so
/// a new gofe or a new processor never reads old code.
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(super) fn new(engine: &Engine, folder: &Path) -> Self {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        engine.wasmtime().precompile_compatibility_hash().hash(&mut hasher);
        GENERATION.hash(&mut hasher);
        Self { folder: folder.join(format!("{:016x}", hasher.finish())) }
    }

    fn code(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.cwasm"))
    }

    fn functions(&self, plugin: &str) -> PathBuf {
        self.folder.join(format!("{}.functions", Digest::of(plugin.as_bytes())))
    }

    /// The compiled code of the plugin with this digest.
    #[expect(unsafe_code, reason = "wasmtime cannot check compiled code; see the comment at the call")]
    pub(super) fn read(&self, engine: &Engine, digest: &Digest) -> Option<Code> {
        let path = self.code(digest);
        if !path.exists() || !self.is_ours(&path) {
            return None;
        }
        let is_module = matches!(wasmtime::Engine::detect_precompiled_file(&path), Ok(Some(Precompiled::Module)));
        // SAFETY: the file was written by `write` below: whole (it is renamed into its place), into a folder that only this
        // user may write to, which `is_ours` has just checked, under a name made of the engine's compatibility hash.
        let loaded = unsafe {
            match is_module {
                true => Module::deserialize_file(engine.wasmtime(), &path).map(Code::Module),
                false => Component::deserialize_file(engine.wasmtime(), &path).map(Code::Component),
            }
        };
        match loaded {
            Ok(code) => {
                // The time of the last use decides who makes room; where it cannot be set, that of the writing does.
                let _ = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                Some(code)
            }
            Err(error) => {
                warn!(path = %path.display(), "compiled code in the cache is not usable: {error:#}");
                None
            }
        }
    }

    /// The functions of the version of the plugin with this name that was compiled last.
    pub(super) fn read_functions(&self, plugin: &str) -> Option<Bytes> {
        let path = self.functions(plugin);
        // Functions become code as they are: what is true of whole plugins is true of them.
        if !path.exists() || !self.is_ours(&path) {
            return None;
        }
        fs::read(path).ok().map(Bytes::from)
    }

    /// Whether nobody but this user could have written the file.
    fn is_ours(&self, path: &Path) -> bool {
        let private = |path: &Path| {
            fs::symlink_metadata(path).is_ok_and(|found| {
                let own = fs::metadata("/proc/self").map_or(found.uid(), |process| process.uid());
                found.uid() == own && found.permissions().mode() & 0o022 == 0 && !found.is_symlink()
            })
        };
        private(&self.folder) && private(path)
    }

    /// Keeps compiled code, and the functions that it was made of under the plugin's name.
    pub(super) fn write(&self, digest: &Digest, code: &Code, functions: Option<&(String, Bytes)>) {
        let path = self.code(digest);
        let written = code.serialize().and_then(|code| Ok(self.put(&path, &code)?));
        let written = written.and_then(|()| match functions {
            Some((plugin, functions)) => Ok(self.put(&self.functions(plugin), functions)?),
            None => Ok(()),
        });
        if let Err(error) = written.and_then(|()| Ok(make_room(&self.folder)?)) {
            debug!(path = %path.display(), "compiled code is not cached: {error:#}");
        }
    }

    fn put(&self, path: &Path, content: &[u8]) -> std::io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // Two versions may be written at a time, by this process or by others.
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let partial = path.with_extension(format!("{}-{number}.part", std::process::id()));
        let mut file = fs::File::create(&partial)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        fs::rename(&partial, path)
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
