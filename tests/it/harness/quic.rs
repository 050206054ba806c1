//! A client of HTTP/3.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use hyper::{HeaderMap, Request, Response};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// One connection.
pub struct Quic {
    sender: SendRequest<h3_quinn::OpenStreams, Bytes>,
    /// The connection itself.
    pub connection: quinn::Connection,
    endpoint: quinn::Endpoint,
    ended: tokio::task::JoinHandle<h3::error::ConnectionError>,
}

/// A request whose response is awaited.
pub struct Sent(pub RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>);

impl Quic {
    /// Connects to `site.test` and trusts `ca.pem` in this folder.
    pub async fn connect(address: SocketAddr, folder: &Path) -> Self {
        Self::try_connect(address, folder).await.unwrap()
    }

    /// The same, where it may fail.
    pub async fn try_connect(address: SocketAddr, folder: &Path) -> Result<Self, quinn::ConnectionError> {
        let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        let config = Self::config(folder, false);
        let connection = endpoint.connect_with(config, address, "site.test").unwrap().await?;
        Ok(Self::speak(endpoint, connection).await)
    }

    /// How clients connect; `eager` ones send requests with their first message where they may. Clones share sessions.
    pub fn config(folder: &Path, eager: bool) -> quinn::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls =
            rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
        let mut tls = tls.unwrap().with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        tls.enable_early_data = eager;
        quinn::ClientConfig::new(Arc::new(quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap()))
    }

    /// Speaks HTTP/3 on a connection.
    pub async fn speak(endpoint: quinn::Endpoint, connection: quinn::Connection) -> Self {
        let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(connection.clone())).await.unwrap();
        let ended = tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
        Self { sender, connection, endpoint, ended }
    }

    /// Moves to another port, as a client behind a router does.
    pub fn moves(&self) {
        self.endpoint.rebind(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    }

    /// Sends a request's head.
    pub async fn begin(&mut self, request: Request<()>) -> Sent {
        Sent(self.sender.send_request(request).await.unwrap())
    }

    /// Sends a request and returns head, body and trailers.
    pub async fn send(
        &mut self,
        request: Request<()>,
        body: impl Into<Bytes>,
    ) -> (Response<()>, Vec<u8>, Option<HeaderMap>) {
        let body = body.into();
        let mut sent = self.begin(request).await;
        if !body.is_empty() {
            sent.0.send_data(body).await.unwrap();
        }
        sent.0.finish().await.unwrap();
        sent.whole().await
    }

    /// The certificate that gofe showed.
    pub fn certificate(&self) -> Vec<u8> {
        let shown = self.connection.peer_identity().unwrap().downcast::<Vec<CertificateDer<'static>>>().unwrap();
        shown[0].to_vec()
    }

    /// Waits until the connection has ended; whether that was no error.
    pub async fn ended(self) -> bool {
        self.ended.await.unwrap().is_h3_no_error() || self.connection.close_reason().is_some()
    }
}

impl Sent {
    /// The whole response.
    pub async fn whole(&mut self) -> (Response<()>, Vec<u8>, Option<HeaderMap>) {
        let head = self.0.recv_response().await.unwrap();
        let mut body = Vec::new();
        while let Some(mut chunk) = self.0.recv_data().await.unwrap() {
            body.extend_from_slice(&chunk.copy_to_bytes(chunk.remaining()));
        }
        let trailers = self.0.recv_trailers().await.unwrap();
        (head, body, trailers)
    }
}
