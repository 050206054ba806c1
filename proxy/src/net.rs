//! Sockets.

mod batched;
mod listen;

pub use batched::Batched;
pub use listen::bind;
