//! Which server a client asks for, read from its first bytes without ending its TLS (RFC 8446, section 4.1.2).

use std::io;
use std::time::Duration;

use rustls::server::Acceptor;
use tokio::io::AsyncReadExt;

use crate::net::Connection;

/// The most bytes of a `ClientHello`, in however many records; those of browsers have less than two thousand.
const LONGEST: usize = 64 << 10;

/// What a client has sent first.
pub struct Hello {
    /// The name that it asks for, in lower case.
    pub server_name: Option<String>,
    /// All that was read of it, which whoever ends the TLS must see.
    pub bytes: Vec<u8>,
}

/// Why there is no `ClientHello`.
#[derive(Debug, thiserror::Error)]
pub enum HelloError {
    /// It is something else, or too long.
    #[error("the client does not speak TLS")]
    NotTls,
    /// It did not come in time.
    #[error("no whole ClientHello within {0:?}")]
    Timeout(Duration),
    /// The client closed, or the connection broke.
    #[error("the connection ended before the ClientHello: {0}")]
    Broken(#[from] io::Error),
}

impl HelloError {
    /// The word in metrics, as for handshakes.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotTls => "not-tls",
            Self::Timeout(_) => "timeout",
            Self::Broken(_) => "closed",
        }
    }
}

/// Reads a `ClientHello`.
///
/// # Errors
/// When the client sends something else, or nothing in time.
pub async fn read_hello(connection: &mut Connection, timeout: Duration) -> Result<Hello, HelloError> {
    match tokio::time::timeout(timeout, read(connection)).await {
        Ok(read) => read,
        Err(_) => Err(HelloError::Timeout(timeout)),
    }
}

async fn read(connection: &mut Connection) -> Result<Hello, HelloError> {
    let mut acceptor = Acceptor::default();
    let mut bytes = Vec::with_capacity(2048);
    loop {
        let begin = bytes.len();
        let read = match connection {
            Connection::Tcp(stream) => stream.read_buf(&mut bytes).await?,
            Connection::Unix(stream) => stream.read_buf(&mut bytes).await?,
        };
        if read == 0 {
            return Err(HelloError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut new = &bytes[begin..];
        while !new.is_empty() {
            if acceptor.read_tls(&mut new).map_err(|_| HelloError::NotTls)? == 0 {
                return Err(HelloError::NotTls);
            }
            match acceptor.accept() {
                Ok(Some(accepted)) => {
                    let server_name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
                    return Ok(Hello { server_name, bytes });
                }
                Ok(None) => {}
                Err(_) => return Err(HelloError::NotTls),
            }
        }
        if bytes.len() > LONGEST {
            return Err(HelloError::NotTls);
        }
    }
}
