//! Accepted and made connections, of TCP or of a Unix socket.

use tokio::net::{TcpStream, UnixStream};

/// A connection, before anything is read from it.
#[derive(Debug)]
pub enum Connection {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl From<TcpStream> for Connection {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Connection {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}
