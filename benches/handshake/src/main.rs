//! A client that does TLS 1.3 handshakes, one after the other on each of several threads, and nothing else: it connects,
//! shakes hands, says goodbye and waits until the server has closed the connection.
//!
//! It prints a line for each handshake with its microseconds, `ok 812`; one that failed is `failed` and why. Before, each
//! thread asks for `/` once: whoever resumes has its first tickets from there, and the others from the handshakes. A server
//! that has not the key exchange is told by exit code 3.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::{Parser, ValueEnum};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, NamedGroup, SignatureScheme, version,
};

/// How long one connection may take.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Parser)]
struct Options {
    /// The server's port on the loopback address.
    #[arg(long)]
    port: u16,
    /// How long to go on.
    #[arg(long)]
    seconds: u64,
    /// How many handshakes at a time.
    #[arg(long)]
    connections: usize,
    /// Go on with an earlier session in every handshake.
    #[arg(long)]
    resume: bool,
    /// How keys are exchanged.
    #[arg(long)]
    key_exchange: KeyExchange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KeyExchange {
    /// X25519.
    X25519,
    /// X25519MLKEM768.
    Hybrid,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            let cause = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref()?.downcast_ref::<Error>());
            match cause {
                Some(Error::AlertReceived(_) | Error::PeerIncompatible(_)) => ExitCode::from(3),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let tickets = Arc::new(Tickets::default());
    let config = config(options.key_exchange, &tickets)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let mut fresh = ClientConfig::clone(&config);
    fresh.resumption = Resumption::disabled();
    for _ in 0..if options.resume { options.connections } else { 1 } {
        let before = tickets.count();
        // With a store, and nothing in it that would be used up.
        tickets.hold(true);
        first(&config, address, options)?;
        tickets.hold(false);
        ensure!(!options.resume || tickets.count() > before, "the server gives no ticket");
    }
    let config = if options.resume { config } else { Arc::new(fresh) };
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let threads: Vec<_> = (0..options.connections)
        .map(|_| {
            let (config, options) = (config.clone(), (options.resume, options.key_exchange));
            thread::spawn(move || {
                let mut lines = String::new();
                while Instant::now() < end {
                    let begun = Instant::now();
                    lines += &match handshake(&config, address, options) {
                        Ok(took) => format!("ok {}\n", took.duration_since(begun).as_micros()),
                        Err(error) => format!("failed {error:#}\n"),
                    };
                }
                lines
            })
        })
        .collect();
    for thread in threads {
        match thread.join() {
            Ok(lines) => print!("{lines}"),
            Err(_) => bail!("a thread panicked"),
        }
    }
    Ok(())
}

fn config(key_exchange: KeyExchange, tickets: &Arc<Tickets>) -> Result<Arc<ClientConfig>> {
    let group = match key_exchange {
        KeyExchange::X25519 => kx_group::X25519,
        KeyExchange::Hybrid => kx_group::X25519MLKEM768,
    };
    let cipher = cipher_suite::TLS13_AES_128_GCM_SHA256;
    let provider = CryptoProvider { cipher_suites: vec![cipher], kx_groups: vec![group], ..default_provider() };
    let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[&version::TLS13])?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::store(tickets.clone());
    Ok(Arc::new(config))
}

/// Asks for `/`, and reads to the end: there the ticket is.
fn first(config: &Arc<ClientConfig>, address: SocketAddr, options: &Options) -> Result<()> {
    let (mut connection, mut stream) = connect(config, address)?;
    shake_hands(&mut connection, &mut stream)?;
    check(&connection, false, options.key_exchange)?;
    let mut tls = rustls::Stream::new(&mut connection, &mut stream);
    tls.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-api-key: secret\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    match tls.read_to_end(&mut answer) {
        Ok(_) => {}
        // Not everybody says goodbye.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(error.into()),
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "not an answer: {}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// One handshake, until the server has closed the connection; when it was complete.
fn handshake(config: &Arc<ClientConfig>, address: SocketAddr, options: (bool, KeyExchange)) -> Result<Instant> {
    let (mut connection, mut stream) = connect(config, address)?;
    shake_hands(&mut connection, &mut stream)?;
    let complete = Instant::now();
    check(&connection, options.0, options.1)?;
    connection.send_close_notify();
    while connection.wants_write() {
        connection.write_tls(&mut stream)?;
    }
    stream.shutdown(Shutdown::Write)?;
    // What it says now are tickets.
    loop {
        match connection.read_tls(&mut stream) {
            Ok(0) => return Ok(complete),
            Ok(_) => connection.process_new_packets()?,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(complete),
            Err(error) => return Err(error.into()),
        };
    }
}

fn connect(config: &Arc<ClientConfig>, address: SocketAddr) -> Result<(ClientConnection, TcpStream)> {
    let connection = ClientConnection::new(config.clone(), ServerName::try_from("localhost")?)?;
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    Ok((connection, stream))
}

fn shake_hands(connection: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<()> {
    while connection.is_handshaking() || connection.wants_write() {
        connection.complete_io(stream)?;
    }
    Ok(())
}

/// Whether the handshake was what it shall be.
fn check(connection: &ClientConnection, resume: bool, key_exchange: KeyExchange) -> Result<()> {
    let kind = if resume { HandshakeKind::Resumed } else { HandshakeKind::Full };
    let group = match key_exchange {
        KeyExchange::X25519 => NamedGroup::X25519,
        KeyExchange::Hybrid => NamedGroup::X25519MLKEM768,
    };
    let (had, with) = (connection.handshake_kind(), connection.negotiated_key_exchange_group());
    ensure!(had == Some(kind), "the handshake was {had:?} and not {kind:?}");
    ensure!(with.is_some_and(|with| with.name() == group), "keys were exchanged by {with:?}");
    Ok(())
}

/// Tickets, of which each is used once.
#[derive(Debug, Default)]
struct Tickets(Mutex<(bool, VecDeque<Tls13ClientSessionValue>)>);

impl Tickets {
    /// Whether those that are there stay there.
    fn hold(&self, on: bool) {
        self.locked().0 = on;
    }

    fn count(&self) -> usize {
        self.locked().1.len()
    }

    fn locked(&self) -> MutexGuard<'_, (bool, VecDeque<Tls13ClientSessionValue>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.locked().1.push_back(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut tickets = self.locked();
        if tickets.0 { None } else { tickets.1.pop_front() }
    }
}

/// Takes every certificate, but looks whether the server has its key.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &default_provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
