//! Sockets, and TLS on them.

mod batched;
mod listen;
mod stream;
mod tls;

pub use batched::{Batched, send_in_turn};
pub use listen::bind;
pub use stream::Stream;
pub use tls::{Finding, HandshakeError, Secured, Tls};
