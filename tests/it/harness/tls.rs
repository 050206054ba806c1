//! TLS: files for a gofe to serve, curl, and a client that shows what other clients hide.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gofe_certificates::Issued;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::Gofe;

/// Puts a certificate and its key into a folder, as `NAME.pem` and `NAME.key`.
pub fn put(folder: &Path, name: &str, issued: &Issued) {
    std::fs::write(folder.join(format!("{name}.pem")), &issued.pem).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), &issued.key).unwrap();
}

/// Runs curl for `https://NAME/`, where gofe listens at `address`; it trusts `ca.pem` in gofe's folder.
pub fn curl(gofe: &Gofe, address: SocketAddr, name: &str, arguments: &[&str]) -> Output {
    let resolve = format!("{name}:{}:{}", address.port(), address.ip());
    let mut command = Command::new("curl");
    command.current_dir(gofe.folder()).args(["-sS", "--max-time", "20", "--cacert", "ca.pem", "--resolve", &resolve]);
    command.args(arguments).arg(format!("https://{name}:{}/", address.port()));
    command.output().unwrap()
}

/// The same, where it must succeed; what it printed.
pub fn fetched(gofe: &Gofe, address: SocketAddr, name: &str, arguments: &[&str]) -> String {
    let output = curl(gofe, address, name, arguments);
    assert!(output.status.success(), "curl {arguments:?} {name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A client that takes any certificate and remembers its sessions. Sessions and what was seen belong to it.
pub struct TlsClient {
    config: Arc<ClientConfig>,
    seen: Arc<Seen>,
}

/// Takes every certificate, and keeps what came with it.
#[derive(Debug)]
struct Seen {
    provider: CryptoProvider,
    ocsp: Mutex<Vec<u8>>,
}

/// What a handshake brought.
pub struct Session {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl TlsClient {
    /// Speaks these versions.
    pub fn new(versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let provider = aws_lc_rs::default_provider();
        let seen = Arc::new(Seen { provider: provider.clone(), ocsp: Mutex::default() });
        let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(versions).unwrap();
        let builder = builder.dangerous().with_custom_certificate_verifier(seen.clone());
        Self { config: Arc::new(builder.with_no_client_auth()), seen }
    }

    /// The same client, that names no server.
    pub fn nameless(mut self) -> Self {
        Arc::make_mut(&mut self.config).enable_sni = false;
        self
    }

    /// The same client, that sends requests with its first message where it may.
    pub fn eager(mut self) -> Self {
        Arc::make_mut(&mut self.config).enable_early_data = true;
        self
    }

    /// What a client sends first: its first message, and a request in early data; nothing where it has no session that
    /// takes any. What is sent later is with what comes back.
    pub fn first_message(&self, name: &str, request: &str) -> Option<(Vec<u8>, ClientConnection)> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(self.config.clone(), name).unwrap();
        connection.early_data()?.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut bytes).unwrap();
        }
        Some((bytes, connection))
    }

    /// Sends a request in early data, and nothing else.
    pub fn early(&self, address: SocketAddr, name: &str, request: &str) -> Session {
        let (bytes, connection) = self.first_message(name, request).expect("a session that takes early data");
        Session::sends(address, &bytes, connection)
    }

    /// Shows a certificate.
    pub fn showing(mut self, issued: &Issued) -> Self {
        let chain = vec![CertificateDer::from(issued.der.clone())];
        let key = rustls::pki_types::pem::PemObject::from_pem_slice(issued.key.as_bytes()).unwrap();
        let key = self.seen.provider.key_provider.load_private_key(key).unwrap();
        let certified = Arc::new(rustls::sign::CertifiedKey::new(chain, key));
        Arc::make_mut(&mut self.config).client_auth_cert_resolver =
            Arc::new(rustls::sign::SingleCertAndKey::from(certified));
        self
    }

    /// Connects and does the handshake; what went wrong where it fails.
    pub fn try_connect(&self, address: SocketAddr, name: &str) -> std::io::Result<Session> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(self.config.clone(), name).unwrap();
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_nodelay(true)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Session { stream })
    }

    /// The same, where it must succeed.
    pub fn connect(&self, address: SocketAddr, name: &str) -> Session {
        self.try_connect(address, name).unwrap()
    }

    /// The OCSP response that came with the last full handshake.
    pub fn ocsp(&self) -> Vec<u8> {
        self.seen.ocsp.lock().unwrap().clone()
    }
}

impl Session {
    /// Connects and sends what a client sends first.
    pub fn sends(address: SocketAddr, first: &[u8], connection: ClientConnection) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(first).unwrap();
        Self { stream: StreamOwned::new(connection, stream) }
    }

    /// The server's certificate.
    pub fn certificate(&self) -> &[u8] {
        &self.stream.conn.peer_certificates().unwrap()[0]
    }

    /// The key exchange.
    pub fn key_exchange(&self) -> String {
        format!("{:?}", self.stream.conn.negotiated_key_exchange_group().unwrap().name())
    }

    /// Whether it is an earlier session that goes on.
    pub fn resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// Reads an answer and sends nothing, so that the handshake is not complete.
    pub fn silently(&mut self) -> String {
        let StreamOwned { conn, sock } = &mut self.stream;
        let mut answer = Vec::new();
        while !whole(&answer) {
            assert_ne!(conn.read_tls(sock).unwrap(), 0, "the connection ended");
            conn.process_new_packets().unwrap();
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = conn.reader().read(&mut chunk) {
                answer.extend_from_slice(&chunk[..read]);
            }
        }
        assert!(conn.is_early_data_accepted());
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends bytes that are no record of this session.
    pub fn inject(&mut self, bytes: &[u8]) {
        self.stream.sock.write_all(bytes).unwrap();
    }

    /// Asks for a path by HTTP/1.1 and returns the answer's head and body, or what went wrong. Tickets come before it.
    pub fn try_get(&mut self, path: &str) -> std::io::Result<String> {
        self.try_ask(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n"))
    }

    /// Sends a request and returns the answer's head and body, or what went wrong.
    pub fn try_ask(&mut self, request: &str) -> std::io::Result<String> {
        self.stream.write_all(request.as_bytes())?;
        self.stream.flush()?;
        let mut answer = Vec::new();
        while !whole(&answer) {
            let mut chunk = [0; 4096];
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(&chunk[..read]);
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// The same, where it must succeed.
    pub fn get(&mut self, path: &str) -> String {
        self.try_get(path).unwrap()
    }
}

/// Whether an answer with a length is all there.
fn whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.ocsp.lock().unwrap() = ocsp_response.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
