//! Random numbers from the operating system's generator, fit for keys and tokens.

use crate::host;

/// A random number.
#[must_use]
pub fn u64() -> u64 {
    host::random::get_u64()
}

/// Random bytes, at most 65,536.
#[must_use]
pub fn bytes(length: u32) -> Vec<u8> {
    host::random::get_bytes(length)
}
