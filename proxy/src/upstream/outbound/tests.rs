use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;

const LONG: Duration = Duration::from_secs(30);

/// A server that answers with what it was asked, over TLS where it has a configuration for that.
struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    async fn new(tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), accepted: Arc::default() };
        let (accepted, tls) = (Arc::clone(&server.accepted), tls.map(|tls| TlsAcceptor::from(Arc::new(tls))));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Relaxed);
                tokio::spawn(serve(stream, tls.clone()));
            }
        });
        server
    }

    fn uri(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>) {
    let builder = auto::Builder::new(TokioExecutor::new());
    // A client that leaves early is part of some tests.
    match tls {
        None => drop(builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await),
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                drop(builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await);
            }
        }
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
    let path = parts.uri.path().to_owned();
    let said = match &*path {
        "/hang" => std::future::pending().await,
        "/large" => "x".repeat(2_000),
        _ => format!("{} {} {:?} {:?}", parts.method, parts.uri, sorted(&parts.headers), body),
    };
    let mut response = Response::new(Full::from(said));
    if path == "/moved" {
        *response.status_mut() = StatusCode::FOUND;
        response.headers_mut().insert("location", HeaderValue::from_static("/elsewhere"));
    }
    Ok(response)
}

fn sorted(headers: &HeaderMap) -> Vec<String> {
    let mut fields: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    fields.sort();
    fields
}

fn get(uri: &str) -> OutboundRequest {
    Request::get(uri).body(Bytes::new()).unwrap()
}

async fn ask(client: &Client, request: OutboundRequest) -> Result<OutboundResponse, OutboundError> {
    client.send(request, LONG, 1_000).await
}

#[tokio::test]
async fn requests_share_a_connection() {
    let (server, client) = (Server::new(None).await, Client::new());
    for _ in 0..3 {
        let response = ask(&client, get(&server.uri("http", "/a?b=c"))).await.unwrap();
        let host = format!("localhost:{}", server.address.port());
        assert_eq!(response.body(), &format!("GET /a?b=c [\"host: {host}\"] b\"\""));
    }
    assert_eq!(server.accepted.load(Relaxed), 1);
}

#[test]
fn a_client_outlives_the_runtimes_that_use_it() {
    let client = Client::new();
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::new(None).await;
            for _ in 0..2 {
                ask(&client, get(&server.uri("http", "/"))).await.unwrap();
            }
        });
    }
}

#[tokio::test]
async fn a_plugin_cannot_name_another_host_or_break_the_framing() {
    let (server, client) = (Server::new(None).await, Client::new());
    let mut request = Request::post(server.uri("http", "/")).body(Bytes::from_static(b"body")).unwrap();
    for (name, value) in [
        ("host", "admin.internal"),
        ("content-length", "99"),
        ("transfer-encoding", "chunked"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("x-own", "kept"),
    ] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let response = ask(&client, request).await.unwrap();
    let host = format!("localhost:{}", server.address.port());
    assert_eq!(
        response.body(),
        &format!("POST / [\"content-length: 4\", \"host: {host}\", \"x-own: kept\"] b\"body\"")
    );
}

#[tokio::test]
async fn redirects_are_answers() {
    let (server, client) = (Server::new(None).await, Client::new());
    let response = ask(&client, get(&server.uri("http", "/moved"))).await.unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()["location"], "/elsewhere");
}

#[tokio::test]
async fn an_answer_has_limits_of_time_and_size() {
    let (server, client) = (Server::new(None).await, Client::new());
    let error = ask(&client, get(&server.uri("http", "/large"))).await.unwrap_err();
    assert!(matches!(error, OutboundError::TooLarge), "{error}");
    let hang = client.send(get(&server.uri("http", "/hang")), Duration::from_millis(20), 1_000);
    assert!(matches!(hang.await.unwrap_err(), OutboundError::Timeout));
}

#[tokio::test]
async fn what_is_no_request_is_not_sent() {
    let client = Client::new();
    for uri in ["/relative", "ftp://localhost/", "http://user@localhost/"] {
        let error = ask(&client, get(uri)).await.unwrap_err();
        assert!(matches!(error, OutboundError::Invalid(_)), "{uri}: {error}");
    }
    let tunnel = Request::connect("http://localhost/").body(Bytes::new()).unwrap();
    assert!(matches!(ask(&client, tunnel).await.unwrap_err(), OutboundError::Invalid(_)));
}

#[tokio::test]
async fn nobody_there_says_why() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = ask(&Client::new(), get(&format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(&error, OutboundError::Unreachable(why) if why.contains("refused")), "{error}");
}

/// A server's configuration for `localhost`, and the authority to trust.
fn certificate(protocols: &[&str]) -> (ServerConfig, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    (config, roots)
}

#[tokio::test]
async fn tls_is_spoken_with_both_protocols() {
    for protocols in [&["http/1.1"][..], &["h2", "http/1.1"], &[]] {
        let (config, roots) = certificate(protocols);
        let (server, client) = (Server::new(Some(config)).await, Client::trusting(roots));
        for _ in 0..2 {
            let response = ask(&client, get(&server.uri("https", "/secret"))).await.unwrap();
            assert!(response.body().starts_with(b"GET "), "{protocols:?}: {:?}", response.body());
        }
        assert_eq!(server.accepted.load(Relaxed), 1, "{protocols:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (config, _) = certificate(&[]);
    let (_, other) = certificate(&[]);
    let server = Server::new(Some(config)).await;
    let error = ask(&Client::trusting(other), get(&server.uri("https", "/"))).await.unwrap_err();
    assert!(matches!(&error, OutboundError::Unreachable(why) if why.contains("certificate")), "{error}");
}
