//! From an endpoint's address to a connection that requests can be sent on.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::uri::Authority;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};

use super::endpoint::Endpoint;
use super::proxy_header::{self, Ends};
use super::wire::Wire;
use crate::config::{Alpn, ProxyVersion, Sending};
use crate::net::{Batched, ClientTls, Connection, Offer};

/// The TLS of an upstream, which is replaced when its files change.
pub(super) type Tls = Arc<ArcSwap<ClientTls>>;

/// Makes connections to an endpoint.
pub(super) struct Connector {
    target: Target,
    local: Option<IpAddr>,
    proxy_protocol: Option<ProxyVersion>,
    tls: Option<Tls>,
}

/// Where to connect.
#[derive(Debug, Clone)]
enum Target {
    /// An address, ready for use.
    Address(SocketAddr),
    /// A name that is looked up at each connect, so that a change of its addresses is seen.
    Name(String, u16),
    /// The path of a Unix socket.
    Socket(PathBuf),
}

/// Why there is no connection.
pub(super) enum Trouble {
    /// The system, or who listens there, refuses it.
    Connect(io::Error),
    /// There is no TLS on it.
    Tls(io::Error),
}

impl Connector {
    /// Makes connections as they are configured; port 80 where the authority has none.
    pub(super) fn new(endpoint: &Endpoint, sending: &Sending, tls: Option<Tls>) -> Self {
        let target = match &endpoint.socket {
            Some(path) => Target::Socket(path.clone()),
            None => Target::new(&endpoint.authority),
        };
        Self { target, local: sending.local_address, proxy_protocol: sending.proxy_protocol, tls }
    }

    /// Whether a connection belongs to one client: then it serves no other.
    pub(super) fn is_for_one_client(&self) -> bool {
        self.proxy_protocol.is_some()
    }

    /// Whether connections are secured.
    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Connects, and says which protocol was agreed upon where TLS agrees on one.
    pub(super) async fn connect(&self, ends: Option<Ends>, offer: Offer) -> Result<(Wire, Option<Alpn>), Trouble> {
        let mut connection = self.target.connect(self.local).await.map_err(Trouble::Connect)?;
        if let Some(version) = self.proxy_protocol {
            // Where gofe's own end is not known, the connection is to where it goes.
            let to = match &connection {
                Connection::Tcp(stream) => stream.peer_addr().ok(),
                Connection::Unix(_) => None,
            };
            let ends = ends.map(|ends| (ends.client, ends.local.or(to).unwrap_or(ends.client)));
            let header = proxy_header::encode(version, ends);
            let written = match &mut connection {
                Connection::Tcp(stream) => stream.write_all(&header).await,
                Connection::Unix(stream) => stream.write_all(&header).await,
            };
            written.map_err(Trouble::Connect)?;
        }
        let batched = Batched::new(connection);
        let Some(tls) = &self.tls else { return Ok((Wire::plain(batched), None)) };
        let tls = tls.load_full();
        let connected = tls.connect(batched, &self.target.host(), offer).await;
        let (stream, alpn) = connected.map_err(Trouble::Tls)?;
        Ok((Wire::tls(stream), alpn))
    }
}

impl Target {
    fn new(authority: &Authority) -> Self {
        let port = authority.port_u16().unwrap_or(80);
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        match bare.parse::<IpAddr>() {
            Ok(ip) => Self::Address(SocketAddr::new(ip, port)),
            Err(_) => Self::Name(bare.to_owned(), port),
        }
    }

    /// The name that a certificate must have.
    fn host(&self) -> String {
        match self {
            Self::Address(address) => address.ip().to_string(),
            Self::Name(host, _) => host.clone(),
            Self::Socket(_) => "localhost".to_owned(),
        }
    }

    /// Connects: for a name, to each of its addresses in turn until one accepts.
    ///
    /// # Errors
    ///
    /// What the system says about the last address, or that the name has none.
    async fn connect(&self, local: Option<IpAddr>) -> io::Result<Connection> {
        let stream = match self {
            Self::Address(address) => connect_to(*address, local).await?,
            Self::Name(host, port) => connect_any(host, *port, local).await?,
            Self::Socket(path) => return UnixStream::connect(path).await.map(Connection::Unix),
        };
        stream.set_nodelay(true)?;
        Ok(Connection::Tcp(stream))
    }
}

async fn connect_to(address: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(local) = local else { return TcpStream::connect(address).await };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(local, 0))?;
    socket.connect(address).await
}

async fn connect_any(host: &str, port: u16, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let mut last = None;
    for address in lookup_host((host, port)).await? {
        match connect_to(address, local).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}
