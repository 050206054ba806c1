//! Attributes: what plugins tell each other, and what they remember from phase to phase.

use bytes::Bytes;

/// The most attributes of one request.
const MAX_COUNT: usize = 64;
/// The most bytes of all names and values of one request.
const MAX_BYTES: usize = 64 << 10;

/// The attributes of one request. A request has a handful, so a list that is searched beats a map.
#[derive(Debug, Default)]
pub struct Attributes {
    entries: Vec<(Box<str>, Bytes)>,
    bytes: usize,
}

impl Attributes {
    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.entries.iter().find(|(n, _)| **n == *name).map(|(_, value)| value)
    }

    /// Sets an attribute; false, and nothing is changed, where that would go over the limits.
    pub fn set(&mut self, name: &str, value: Bytes) -> bool {
        let old = self.entries.iter().position(|(n, _)| **n == *name);
        let freed = old.map_or(0, |at| name.len() + self.entries[at].1.len());
        let bytes = self.bytes - freed + name.len() + value.len();
        if bytes > MAX_BYTES || (old.is_none() && self.entries.len() == MAX_COUNT) {
            return false;
        }
        self.bytes = bytes;
        match old {
            Some(at) => self.entries[at].1 = value,
            None => self.entries.push((name.into(), value)),
        }
        true
    }

    /// Removes an attribute.
    pub fn remove(&mut self, name: &str) {
        if let Some(at) = self.entries.iter().position(|(n, _)| **n == *name) {
            let (name, value) = self.entries.swap_remove(at);
            self.bytes -= name.len() + value.len();
        }
    }

    /// Every name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.iter().map(|(name, value)| (&**name, &**value))
    }
}
