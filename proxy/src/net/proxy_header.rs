//! The PROXY header at the begin of a connection: a proxy in front of gofe says for whom it connects.
//!
//! Versions 1 and 2 of HAProxy's `proxy-protocol.txt`. Nothing is read beyond the header, as TLS may follow.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ppp::{HeaderResult, v1, v2};
use tokio::io::AsyncReadExt;

use super::Connection;

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// A header of version 2 up to its length, that included.
const FIXED: usize = 16;
/// The longest header of version 1 (section 2.1).
const LONGEST_TEXT: usize = 107;
/// The longest of version 2 that is taken: addresses and what a proxy adds to them (section 2.2). It may say 64 KiB.
const LONGEST: usize = 4 << 10;

/// Why a connection has no PROXY header that counts.
#[derive(Debug, thiserror::Error)]
pub enum ProxyHeaderError {
    /// It begins with something else.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// It broke off inside the header.
    #[error("the PROXY header is truncated: the connection ended in it")]
    Truncated,
    /// It is longer than any that is taken.
    #[error("the PROXY header is too long: {0} bytes are the most")]
    TooLong(usize),
    /// It cannot be read.
    #[error("the PROXY header is malformed: {0}")]
    Malformed(String),
    /// It did not come in time.
    #[error("no whole PROXY header within {0:?}")]
    Timeout(Duration),
    /// The connection broke off.
    #[error("{0}")]
    Broken(io::Error),
}

impl ProxyHeaderError {
    /// The word in metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Truncated | Self::Broken(_) => "truncated",
            Self::TooLong(_) => "too-long",
            Self::Malformed(_) => "malformed",
            Self::Timeout(_) => "timeout",
        }
    }
}

impl From<io::Error> for ProxyHeaderError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Truncated } else { Self::Broken(error) }
    }
}

/// Reads the header, and returns the client that it names; nothing where the proxy speaks for itself (`LOCAL`,
/// `UNKNOWN`) or for a client that has no IP address.
///
/// # Errors
/// When there is no header, or one that cannot be read whole, in time.
pub async fn read_proxy_header(
    connection: &mut Connection,
    timeout: Duration,
) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    match tokio::time::timeout(timeout, read(connection)).await {
        Ok(read) => read,
        Err(_) => Err(ProxyHeaderError::Timeout(timeout)),
    }
}

async fn read(connection: &mut Connection) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    // Every header of either version is longer than this.
    let mut header = vec![0; SIGNATURE.len()];
    connection.fill(&mut header).await?;
    if header == SIGNATURE {
        header.resize(FIXED, 0);
        connection.fill(&mut header[SIGNATURE.len()..]).await?;
        let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if FIXED + length > LONGEST {
            return Err(ProxyHeaderError::TooLong(LONGEST));
        }
        header.resize(FIXED + length, 0);
        connection.fill(&mut header[FIXED..]).await?;
    } else if header.starts_with(b"PROXY ") {
        connection.line(&mut header).await?;
    } else {
        return Err(ProxyHeaderError::Missing);
    }
    parse(&header)
}

impl Connection {
    async fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.read_exact(buffer).await,
            Self::Unix(stream) => stream.read_exact(buffer).await,
        }
        .map(drop)
    }

    /// Reads up to the end of a line, and nothing behind it.
    async fn line(&mut self, line: &mut Vec<u8>) -> Result<(), ProxyHeaderError> {
        while line.last() != Some(&b'\n') {
            let left = LONGEST_TEXT - line.len();
            if left == 0 {
                return Err(ProxyHeaderError::TooLong(LONGEST_TEXT));
            }
            let mut ahead = [0; LONGEST_TEXT];
            let next = match self {
                Self::Tcp(stream) => {
                    let seen = stream.peek(&mut ahead[..left]).await?;
                    ahead[..seen].iter().position(|byte| *byte == b'\n').map_or(seen, |end| end + 1)
                }
                // One at a time, as there is no way to look ahead.
                Self::Unix(_) => 1,
            };
            if next == 0 {
                return Err(ProxyHeaderError::Truncated);
            }
            let begin = line.len();
            line.resize(begin + next, 0);
            self.fill(&mut line[begin..]).await?;
        }
        Ok(())
    }
}

fn parse(header: &[u8]) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let malformed = |error: &dyn std::fmt::Display| ProxyHeaderError::Malformed(error.to_string());
    match HeaderResult::parse(header) {
        HeaderResult::V1(header) => match header.map_err(|error| malformed(&error))?.addresses {
            v1::Addresses::Tcp4(ip) => Ok(Some((IpAddr::V4(ip.source_address), ip.source_port).into())),
            v1::Addresses::Tcp6(ip) => Ok(Some((IpAddr::V6(ip.source_address), ip.source_port).into())),
            v1::Addresses::Unknown => Ok(None),
        },
        HeaderResult::V2(header) => {
            let header = header.map_err(|error| malformed(&error))?;
            match (header.command, header.addresses) {
                (v2::Command::Proxy, v2::Addresses::IPv4(ip)) => {
                    Ok(Some((IpAddr::V4(ip.source_address), ip.source_port).into()))
                }
                (v2::Command::Proxy, v2::Addresses::IPv6(ip)) => {
                    Ok(Some((IpAddr::V6(ip.source_address), ip.source_port).into()))
                }
                _ => Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests;
