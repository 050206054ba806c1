//! Sockets.

mod listen;

pub use listen::bind;
