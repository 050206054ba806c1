//! Secrets, by name. Needs `allow.secrets` with that name.

use crate::host;

pub use crate::bindings::gofe::plugin::secrets::SecretError;

/// The secret of this name.
pub fn get(name: &str) -> Result<Vec<u8>, SecretError> {
    host::secrets::get(name)
}
