//! Where clients connect, and whom a listener believes about them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::{Hsts, Redirect, Tcp, Tls};

/// One address on which gofe accepts clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The name that routes know it by; absent where the file gives none.
    pub name: Option<String>,
    /// The address.
    pub address: Address,
    /// The permissions of a Unix socket's file. Default 0660.
    pub mode: u32,
    /// Who begins connections with a PROXY header; absent where nobody does.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Who is believed about the client's address; absent where nobody is.
    pub trusted_proxies: Option<TrustedProxies>,
    /// What happens to bytes that are passed on as they are; absent where the listener serves HTTP.
    pub tcp: Option<Tcp>,
    /// TLS; absent for cleartext.
    pub tls: Option<Tls>,
    /// Where requests are sent instead of being served; only on cleartext listeners.
    pub redirect: Option<Redirect>,
    /// What browsers are told of HTTPS; only with TLS.
    pub hsts: Option<Hsts>,
    /// HTTP/3 on the same port of UDP; only with TLS.
    pub http3: Option<Http3>,
}

/// How a listener speaks HTTP/3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http3 {
    /// The port that `Alt-Svc` names; absent where the system chooses the port.
    pub advertised_port: Option<u16>,
}

/// Where a listener is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An IP address and a port; port 0 takes a free port.
    Ip(SocketAddr),
    /// The file of a Unix socket.
    Unix(PathBuf),
}

/// A PROXY header at the begin of each connection, version 1 or 2, as HAProxy's `proxy-protocol.txt` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// The peers that may connect; a Unix socket's peers count as 127.0.0.1.
    pub from: Networks,
    /// How long the header may take. Default 5 s.
    pub timeout: Duration,
}

/// Proxies in front of gofe whose word on the client's address counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Where they are.
    pub from: Networks,
    /// The field that they write.
    pub header: ClientHeader,
}

/// The field by which a proxy says for whom it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Networks of peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks(pub Vec<IpNet>);

impl Networks {
    /// Whether an address is in one of them; an IPv4 address in IPv6 counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl Address {
    /// The IP address and port, where it has them.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Ip(_) => None,
            Self::Unix(path) => Some(path),
        }
    }

    /// Whether the system chooses the port.
    pub fn takes_any_port(&self) -> bool {
        self.ip().is_some_and(|address| address.port() == 0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
