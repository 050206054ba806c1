//! The key of a series: its name and labels as bytes, made without allocation.

use std::cell::RefCell;

/// The most labels of one series.
const LABELS: usize = 16;
/// The most bytes of a name.
const NAME: usize = 128;
/// The most bytes of a label's value.
const VALUE: usize = 256;

thread_local! {
    /// Where keys are put together.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Labels by name, so that their order does not matter.
pub(super) struct Sorted<'a> {
    labels: [(&'a str, &'a str); LABELS],
    len: usize,
}

impl<'a> Sorted<'a> {
    /// Sorts labels; none when there are more than a series may have.
    pub(super) fn of(labels: &[(&'a str, &'a str)]) -> Option<Self> {
        let mut sorted = Self { labels: [("", ""); LABELS], len: labels.len() };
        sorted.labels.get_mut(..labels.len())?.copy_from_slice(labels);
        sorted.labels[..labels.len()].sort_unstable();
        Some(sorted)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.labels[..self.len].iter().copied()
    }

    /// Lends the key of the series with this name. Lengths stand before the parts, so that no two series have one
    /// key whatever their values hold.
    pub(super) fn key<T>(&self, name: &str, lend: impl FnOnce(&[u8]) -> T) -> T {
        let mut key = SCRATCH.take();
        key.clear();
        for part in std::iter::once(name).chain(self.iter().flat_map(|(name, value)| [name, value])) {
            key.extend_from_slice(&part.len().to_ne_bytes());
            key.extend_from_slice(part.as_bytes());
        }
        let result = lend(&key);
        // A plugin's overlong name must not stay in memory.
        if key.capacity() <= 16 * 1024 {
            SCRATCH.replace(key);
        }
        result
    }

    /// Whether each label is well formed, named once, and not one that the proxy writes itself.
    pub(super) fn is_valid(&self) -> bool {
        let names = || self.iter().map(|(name, _)| name);
        let own = |name: &str| name.starts_with("__") || name == "plugin" || name == "le";
        names().all(|name| is_name(name) && !own(name))
            && self.iter().all(|(_, value)| value.len() <= VALUE)
            && names().zip(names().skip(1)).all(|(a, b)| a != b)
    }
}

/// Whether a name has the form `[a-zA-Z_][a-zA-Z0-9_]*`.
pub(super) fn is_name(name: &str) -> bool {
    let rest = |b: u8| b == b'_' || b.is_ascii_alphanumeric();
    name.len() <= NAME && name.bytes().next().is_some_and(|b| rest(b) && !b.is_ascii_digit()) && name.bytes().all(rest)
}
