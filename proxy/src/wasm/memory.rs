//! A core module's memory, by the pointers and lengths that the guest gives: every access is checked, none panics, and
//! nothing is copied or allocated before it is known to lie within the memory.

/// A guest named memory that it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes at {at:#x} are not within the guest's memory")]
pub(super) struct OutOfBounds {
    at: u32,
    length: usize,
}

/// The bytes at `at`.
pub(super) fn read(memory: &[u8], at: u32, length: u32) -> Result<&[u8], OutOfBounds> {
    let start = at as usize;
    let end = start.checked_add(length as usize);
    end.and_then(|end| memory.get(start..end)).ok_or(OutOfBounds { at, length: length as usize })
}

/// The bytes at `at`, to be written to.
pub(super) fn slot(memory: &mut [u8], at: u32, length: u32) -> Result<&mut [u8], OutOfBounds> {
    let start = at as usize;
    let end = start.checked_add(length as usize);
    end.and_then(|end| memory.get_mut(start..end)).ok_or(OutOfBounds { at, length: length as usize })
}

/// Writes these bytes to `at`; all of them, or none where they do not fit.
pub(super) fn write(memory: &mut [u8], at: u32, bytes: &[u8]) -> Result<(), OutOfBounds> {
    let out = OutOfBounds { at, length: bytes.len() };
    let length = u32::try_from(bytes.len()).map_err(|_| out)?;
    slot(memory, at, length)?.copy_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{read, slot, write};

    #[test]
    fn what_is_out_of_bounds_is_an_error() {
        let mut memory = vec![7; 16];
        assert_eq!(read(&memory, 14, 2), Ok(&[7, 7][..]));
        assert_eq!(read(&memory, 16, 0), Ok(&[][..]));
        for (at, length) in [(14, 3), (17, 0), (u32::MAX, 1), (1, u32::MAX), (u32::MAX, u32::MAX)] {
            assert!(read(&memory, at, length).is_err(), "{at} {length}");
            assert!(slot(&mut memory, at, length).is_err(), "{at} {length}");
        }
        assert!(write(&mut memory, 15, b"ab").is_err());
        assert!(write(&mut memory, 14, b"ab").is_ok());
        assert_eq!(memory[13..], *b"\x07ab");
    }
}
