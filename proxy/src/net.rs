//! Sockets, and TLS on them.

pub mod acme;
mod batched;
mod listen;
mod proxy_header;
mod quic;
mod socket;
mod stream;
mod tls;

pub use batched::{Batched, send_in_turn};
pub use listen::{Bound, Listening, SocketFile, bind, set_mode};
pub use proxy_header::{ProxyHeaderError, read_proxy_header};
pub use quic::{QuicArrival, QuicEndpoint, QuicLimits, QuicSecured, RestOfHandshake, bind_udp};
pub use socket::{Acceptor, Connection};
pub use stream::Stream;
pub use tls::{ClientTls, Finding, HandshakeError, HelloError, Offer, Secured, Tls, read_hello};
