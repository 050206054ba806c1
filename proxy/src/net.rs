//! Sockets, and TLS on them.

mod batched;
mod listen;
mod socket;
mod stream;
mod tls;

pub use batched::{Batched, send_in_turn};
pub use listen::bind;
pub use socket::Connection;
pub use stream::Stream;
pub use tls::{ClientTls, Finding, HandshakeError, Offer, Secured, Tls};
