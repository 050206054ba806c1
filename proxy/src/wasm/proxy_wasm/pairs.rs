//! Maps as they cross the border: the count, the lengths of all names and values, then all names and values, each with a
//! NUL behind it. Numbers have 32 bits, little-endian.

/// Writes a map.
pub(super) fn write<'a>(into: &mut Vec<u8>, pairs: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone) {
    into.clear();
    into.extend_from_slice(&(pairs.len() as u32).to_le_bytes());
    for (name, value) in pairs.clone() {
        into.extend_from_slice(&(name.len() as u32).to_le_bytes());
        into.extend_from_slice(&(value.len() as u32).to_le_bytes());
    }
    for (name, value) in pairs {
        into.extend_from_slice(name);
        into.push(0);
        into.extend_from_slice(value);
        into.push(0);
    }
}

/// The bytes that [`write`] makes of these pairs.
pub(super) fn size<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> usize {
    pairs.fold(4, |size, (name, value)| size + 10 + name.len() + value.len())
}

/// The pairs of a map that a guest wrote; `None` where it is not written rightly. An empty map may be no bytes at all, or
/// one NUL.
pub(super) fn read(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    if bytes.is_empty() || bytes == [0] {
        return Some(Vec::new());
    }
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*count) as usize;
    // What is said to be there must be there before anything is reserved for it.
    let (lengths, mut rest) = rest.split_at_checked(count.checked_mul(8)?)?;
    let mut take = |length: &[u8]| {
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let (part, after) = rest.split_at_checked(length)?;
        let (nul, after) = after.split_first()?;
        rest = after;
        (*nul == 0).then_some(part)
    };
    lengths.chunks_exact(8).map(|lengths| Some((take(&lengths[..4])?, take(&lengths[4..])?))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{read, size, write};

    proptest! {
        #[test]
        fn what_is_written_is_read(pairs: Vec<(Vec<u8>, Vec<u8>)>) {
            let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
            let mut bytes = Vec::new();
            write(&mut bytes, pairs.iter().copied());
            prop_assert_eq!(bytes.len(), size(pairs.iter().copied()));
            prop_assert_eq!(read(&bytes), Some(pairs));
        }

        /// Whatever a guest writes, reading it neither panics nor reserves more than it wrote.
        #[test]
        fn anything_can_be_read(bytes: Vec<u8>, count: u32) {
            let _ = read(&bytes);
            let mut bytes = bytes;
            bytes.splice(0..0, count.to_le_bytes());
            if let Some(pairs) = read(&bytes) {
                prop_assert!(pairs.len() * 10 < bytes.len());
            }
        }
    }

    #[test]
    fn an_empty_map_may_be_nothing_at_all() {
        assert_eq!(read(b""), Some(vec![]));
        assert_eq!(read(b"\0"), Some(vec![]));
        assert_eq!(read(b"\0\0\0\0"), Some(vec![]));
        assert_eq!(read(b"\xff\xff\xff\xff"), None);
        assert_eq!(read(b"\x01\0\0\0\xff\xff\xff\xff\0\0\0\0"), None);
    }
}
