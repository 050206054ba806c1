//! Sockets.

mod batched;
mod listen;

pub use batched::{Batched, send_in_turn};
pub use listen::bind;
