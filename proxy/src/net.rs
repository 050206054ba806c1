//! Sockets, and TLS on them.

mod listen;
mod stream;
mod tls;

pub use listen::bind;
pub use stream::Stream;
pub use tls::{Finding, HandshakeError, Secured, Tls};
