//! Listeners that pass bytes and know nothing of HTTP.

use std::time::Duration;

use super::HostPattern;

/// What a listener does that passes bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tcp {
    /// The upstream of connections that no name of `names` is for; absent where those are closed.
    pub upstream: Option<String>,
    /// Upstreams by the server name that a client asks for in TLS (RFC 6066, section 3), an exact name before a longer
    /// suffix.
    pub names: Vec<(HostPattern, String)>,
    /// The chain whose plugins see the bytes; absent for none.
    pub chain: Option<String>,
    /// A connection on which no byte moves. Default 10 min.
    pub idle_timeout: Duration,
}

impl Tcp {
    /// The names of the upstreams that it passes to.
    pub fn upstreams(&self) -> impl Iterator<Item = &str> {
        self.upstream.iter().chain(self.names.iter().map(|(_, upstream)| upstream)).map(String::as_str)
    }
}
