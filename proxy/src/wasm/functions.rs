//! Compiled functions, kept from one version of a plugin to the next: a new version mostly has the functions of the one
//! before, and only those that differ are compiled. A whole plugin takes 43 ms of processor time, one with a change in its
//! data 7 ms.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use parking_lot::Mutex;
use wasmtime::CacheStore;

/// The digest of all that a function's code depends on; Cranelift makes it.
type Key = [u8; 32];

/// Functions of more than so many bytes in all stay in memory for no plugin; the cache on disk has them. A plugin in Rust has
/// about 200 KB, one that carries a language's runtime many megabytes.
const MOST_IN_MEMORY: usize = 2 << 20;

/// The compiled functions of each plugin's last version. The compiler asks it for each function.
#[derive(Debug, Default)]
pub(super) struct Functions {
    /// By the plugins' names, in the form that [`read`] reads.
    kept: Mutex<BTreeMap<String, Bytes>>,
    /// Those of the compilation under way, one at a time.
    turn: Mutex<()>,
    session: Mutex<Option<Session>>,
}

/// One compilation.
#[derive(Debug, Default)]
struct Session {
    /// What the version before had.
    known: HashMap<Key, Bytes>,
    /// What this version has.
    used: BTreeMap<Key, Bytes>,
}

impl Functions {
    /// Compiles a plugin with the functions of the version before, which are in memory or `stored`. Gives those of this
    /// version back, to be stored.
    pub(super) fn reuse<T, E>(
        &self,
        plugin: &str,
        stored: impl FnOnce() -> Option<Bytes>,
        compile: impl FnOnce() -> Result<T, E>,
    ) -> Result<(T, Bytes), E> {
        let turn = self.turn.lock();
        let before = self.kept.lock().get(plugin).cloned().or_else(stored);
        let known = before.map(|bytes| read(&bytes)).unwrap_or_default();
        *self.session.lock() = Some(Session { known, used: BTreeMap::new() });
        let compiled = compile();
        let session = self.session.lock().take().unwrap_or_default();
        drop(turn);
        let compiled = compiled?;
        let functions = Bytes::from(write(&session.used));
        let mut kept = self.kept.lock();
        if functions.len() <= MOST_IN_MEMORY {
            kept.insert(plugin.to_owned(), functions.clone());
        } else {
            kept.remove(plugin);
        }
        Ok((compiled, functions))
    }

    /// Forgets plugins that are gone.
    pub(super) fn keep_only(&self, exists: impl Fn(&str) -> bool) {
        self.kept.lock().retain(|plugin, _| exists(plugin));
    }
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let key: Key = key.try_into().ok()?;
        let mut session = self.session.lock();
        let session = session.as_mut()?;
        if let Some(code) = session.known.remove(&key) {
            session.used.insert(key, code);
        }
        // The same function may be there twice.
        session.used.get(&key).map(|code| Cow::Owned(code.to_vec()))
    }

    fn insert(&self, key: &[u8], code: Vec<u8>) -> bool {
        let mut session = self.session.lock();
        let (Some(session), Ok(key)) = (session.as_mut(), key.try_into()) else { return false };
        session.used.insert(key, code.into());
        true
    }
}

/// One function after another: its key, the length of its code as four bytes, its code.
fn write(functions: &BTreeMap<Key, Bytes>) -> Vec<u8> {
    let length = functions.values().map(|code| size_of::<Key>() + size_of::<u32>() + code.len()).sum();
    let mut bytes = Vec::with_capacity(length);
    for (key, code) in functions {
        // No function is that long: the compiler's limits are far below.
        let Ok(length) = u32::try_from(code.len()) else { continue };
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(code);
    }
    bytes
}

/// What is damaged or cut off is not there.
fn read(bytes: &Bytes) -> HashMap<Key, Bytes> {
    let mut functions = HashMap::new();
    let mut rest = &bytes[..];
    while let Some((key, after)) = rest.split_first_chunk::<32>()
        && let Some((length, after)) = after.split_first_chunk::<4>()
        && let Some((code, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize)
    {
        functions.insert(*key, bytes.slice_ref(code));
        rest = after;
    }
    functions
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::{read, write};

    #[test]
    fn what_is_written_is_read_and_what_is_cut_off_is_not_there() {
        let functions = BTreeMap::from([([1; 32], Bytes::from_static(b"one")), ([2; 32], Bytes::from_static(b"two"))]);
        let bytes = Bytes::from(write(&functions));
        assert_eq!(read(&bytes), functions.clone().into_iter().collect());
        for length in 0..bytes.len() {
            let found = read(&bytes.slice(..length));
            assert_eq!(found.len(), length / (bytes.len() / 2), "{length}");
            assert!(found.iter().all(|(key, code)| functions[key] == *code));
        }
    }
}
