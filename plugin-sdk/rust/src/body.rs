//! The body in hand.

use crate::host::body;

/// The chunk of the body in hand, or the whole body where the plugin buffers it.
#[derive(Debug)]
pub struct Body {
    pub(crate) end_of_stream: bool,
}

impl Body {
    /// Whether nothing comes behind this chunk. The last chunk may be empty.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.end_of_stream
    }

    /// The number of bytes in hand.
    #[must_use]
    pub fn size(&self) -> u64 {
        body::size()
    }

    /// At most `length` bytes from `offset` on; fewer where the body in hand ends.
    #[must_use]
    pub fn read(&self, offset: u64, length: u64) -> Vec<u8> {
        body::read(offset, length)
    }

    /// All bytes in hand.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        body::read(0, u64::MAX)
    }

    /// Puts these bytes in the place of the bytes in hand.
    pub fn replace(&self, bytes: impl AsRef<[u8]>) {
        body::replace(bytes.as_ref());
    }
}
