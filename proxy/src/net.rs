//! Sockets.

mod gather;
mod listen;

pub use gather::poll_write_gathered;
pub use listen::bind;
