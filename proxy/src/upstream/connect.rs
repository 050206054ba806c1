//! From an endpoint's authority to a connected socket.

use std::io;
use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;
use tokio::net::{TcpStream, lookup_host};

/// Where to connect.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// An address, ready for use.
    Address(SocketAddr),
    /// A name that is looked up at each connect, so that a change of its addresses is seen.
    Name(String, u16),
}

impl Target {
    /// The target of an authority; port 80 where it has none.
    pub(super) fn new(authority: &Authority) -> Self {
        let port = authority.port_u16().unwrap_or(80);
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        match bare.parse::<IpAddr>() {
            Ok(ip) => Self::Address(SocketAddr::new(ip, port)),
            Err(_) => Self::Name(bare.to_owned(), port),
        }
    }

    /// Connects: for a name, each of its addresses in turn until one accepts.
    ///
    /// # Errors
    ///
    /// What the system says about the last address, or that the name has none.
    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let stream = match self {
            Self::Address(address) => TcpStream::connect(address).await?,
            Self::Name(host, port) => connect_any(host, *port).await?,
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

async fn connect_any(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = None;
    for address in lookup_host((host, port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}
