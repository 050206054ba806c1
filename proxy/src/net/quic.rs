//! QUIC (RFC 9000) by quinn, for HTTP/3.
//!
//! An address has one UDP socket, and one endpoint reads it, whichever worker a client's packets would reach: so a
//! connection is found by its ID alone, also after the client has moved to another address or port. Only that is the
//! endpoint's work. Each connection is given to a worker, whose runtime runs all of it: keys, streams, timers, writes.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{EndpointConfig, ServerConfig, TokioRuntime, TransportConfig, VarInt, ZeroRttAccepted};
use rustls::pki_types::CertificateDer;
use socket2::{Domain, Protocol, Socket, Type};

use super::Tls;
use super::tls::HandshakeError;
use crate::chain::TlsInfo;

/// Bytes of one stream that may be on their way to gofe, and of all streams of a connection.
const STREAM_WINDOW: u32 = 512 << 10;
const WINDOW: u32 = 2 << 20;
/// Bytes of a connection that the client has not confirmed.
const SEND_WINDOW: u64 = 1 << 20;

/// What clients of one endpoint may do.
#[derive(Debug, Clone, Copy)]
pub struct QuicLimits {
    /// Requests open at a time on a connection.
    pub streams: u32,
    /// How long a connection lives of which nothing is heard.
    pub idle: Duration,
}

/// Reads a UDP socket, and knows which connection a packet belongs to.
pub struct QuicEndpoint(quinn::Endpoint);

/// A client that wants a connection.
pub struct QuicArrival(quinn::Incoming);

/// A connection after its handshake.
pub struct QuicSecured {
    /// The connection.
    pub connection: quinn::Connection,
    /// What TLS says of it.
    pub info: Box<TlsInfo>,
    /// The rest of its handshake, where clients may send requests before that is complete. Ends with an error where it
    /// came to nothing.
    pub rest: Option<RestOfHandshake>,
}

/// What is left of a handshake.
pub type RestOfHandshake = Pin<Box<dyn Future<Output = Result<(), HandshakeError>> + Send>>;

/// Binds the UDP socket of an address.
///
/// # Errors
/// When the address is in use, or cannot be bound.
pub fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

impl QuicEndpoint {
    /// Reads this socket, on the runtime that this is called on.
    ///
    /// # Errors
    /// What the system says of the socket.
    pub fn new(socket: UdpSocket, tls: &Tls) -> io::Result<Self> {
        let config = ServerConfig::with_crypto(tls.quic());
        let runtime = Arc::new(TokioRuntime);
        quinn::Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime).map(Self)
    }

    /// The next client; nothing when the socket is gone.
    pub async fn accept(&self) -> Option<QuicArrival> {
        self.0.accept().await.map(QuicArrival)
    }
}

impl QuicArrival {
    /// Where it comes from, as its packet says.
    pub fn address(&self) -> SocketAddr {
        self.0.remote_address()
    }

    /// Sends it away.
    pub fn refuse(self) {
        self.0.refuse();
    }

    /// Lets it prove that it is where its packet says; gives it back where it has.
    pub fn prove(self) -> Option<Self> {
        if self.0.remote_address_validated() || !self.0.may_retry() {
            return Some(self);
        }
        // That it is not validated was just asked.
        let _ = self.0.retry();
        None
    }

    /// Does the handshake, on the runtime that this is called on, with the certificates of `tls`.
    ///
    /// # Errors
    /// When the client does not agree, not in time, or goes away.
    pub async fn secure(self, tls: &Tls, limits: QuicLimits) -> Result<QuicSecured, HandshakeError> {
        let mut config = ServerConfig::with_crypto(tls.quic());
        config.transport_config(Arc::new(transport(limits)));
        let failed = |error: quinn::ConnectionError| HandshakeError::of_quic(&error);
        let mut connecting = self.0.accept_with(Arc::new(config)).map_err(failed)?;
        if tls.takes_early_data() {
            let hello = tokio::time::timeout(tls.timeout(), connecting.handshake_data()).await;
            hello.map_err(|_| HandshakeError::timeout(tls.timeout()))?.map_err(failed)?;
            return match connecting.into_0rtt() {
                Ok((connection, accepted)) => Ok(begun(connection, accepted, tls.timeout())),
                Err(_) => Err(HandshakeError::of_quic(&quinn::ConnectionError::LocallyClosed)),
            };
        }
        let connection = match tokio::time::timeout(tls.timeout(), connecting).await {
            Ok(connected) => connected.map_err(failed)?,
            Err(_) => return Err(HandshakeError::timeout(tls.timeout())),
        };
        let mut info = Box::new(TlsInfo { version: "TLSv1.3", server_name: asked(&connection), ..TlsInfo::default() });
        let certificates =
            connection.peer_identity().and_then(|shown| shown.downcast::<Vec<CertificateDer<'_>>>().ok());
        if let Some(certificate) = certificates.as_deref().and_then(|certificates| certificates.first()) {
            tls.identify(certificate, &mut info)?;
        }
        Ok(QuicSecured { connection, info, rest: None })
    }
}

/// A connection that is served before its handshake is complete. No client shows a certificate there.
fn begun(connection: quinn::Connection, accepted: ZeroRttAccepted, timeout: Duration) -> QuicSecured {
    let complete = Arc::new(AtomicBool::new(false));
    let info = TlsInfo {
        version: "TLSv1.3",
        server_name: asked(&connection),
        complete: Some(complete.clone()),
        ..TlsInfo::default()
    };
    let waiting = connection.clone();
    let rest = async move {
        let ended = tokio::time::timeout(timeout, accepted).await;
        match (ended, waiting.close_reason()) {
            (Ok(_), None) => complete.store(true, Ordering::Release),
            (Ok(_), Some(error)) => return Err(HandshakeError::of_quic(&error)),
            (Err(_), _) => {
                waiting.close(VarInt::from_u32(0), b"");
                return Err(HandshakeError::timeout(timeout));
            }
        }
        Ok(())
    };
    QuicSecured { connection, info: Box::new(info), rest: Some(Box::pin(rest)) }
}

/// The name that the client asked for.
fn asked(connection: &quinn::Connection) -> Option<Box<str>> {
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    data.and_then(|data| data.server_name).map(Into::into)
}

fn transport(limits: QuicLimits) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(limits.streams))
        // Those of HTTP/3 itself: control, and two for header compression; more are reserved for what is ignored.
        .max_concurrent_uni_streams(VarInt::from_u32(8))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(limits.idle.try_into().ok())
        // A request may wait for its upstream for longer than that: then only a client that is gone is silent.
        .keep_alive_interval(Some(limits.idle / 3));
    transport
}

/// What a listener's TLS is for QUIC.
pub(super) type Crypto = Arc<QuicServerConfig>;
