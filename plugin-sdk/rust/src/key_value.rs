//! A key-value store that all workers share. Needs `allow.key-value`; each plugin has a space of its own.

use std::time::Duration;

use crate::host;

pub use crate::bindings::gofe::plugin::key_value::StoreError;

/// The value of a key that has not expired.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    host::key_value::get(key)
}

/// Sets a key. A `time_to_live` of zero keeps it until it must make room.
pub fn set(key: &str, value: impl AsRef<[u8]>, time_to_live: Duration) -> Result<(), StoreError> {
    host::key_value::set(key, value.as_ref(), crate::clock::nanoseconds(time_to_live))
}

/// Removes a key.
pub fn delete(key: &str) -> Result<(), StoreError> {
    host::key_value::delete(key)
}
