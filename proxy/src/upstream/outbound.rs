//! Plugins' own requests.
//!
//! There is a client for each thread that sends: its connections belong to that thread's runtime and are used by it
//! alone, so a callout costs no hop to another thread, and a connection cannot die with somebody else's runtime.
//! Certificates are read once for all, at the first request over TLS, and not on a worker.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error as _;
use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, TE};
use http::uri::Scheme;
use http::{HeaderValue, Method, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::chain::{Opening, Outbound, OutboundError, OutboundRequest, OutboundResponse};
use crate::http::{Body, hop};

/// Unused connections to one host, in each thread, and how long they are kept.
const IDLE_CONNECTIONS: usize = 8;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of a response's header section.
const HEADER_SECTION: usize = 64 << 10;

/// Sends plugins' requests over HTTP/1.1 and, where a server offers it in TLS, HTTP/2. Connections are kept,
/// redirects are the plugin's to follow, and certificates must be the system's.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Which of the clients of a thread is this one's.
    id: u64,
    trust: OnceCell<Arc<ClientConfig>>,
}

type Plain = legacy::Client<HttpConnector, Body>;
type Secure = legacy::Client<HttpsConnector<HttpConnector>, Body>;

thread_local! {
    static PLAIN: RefCell<HashMap<u64, Plain>> = RefCell::default();
    static PLAIN_HTTP2: RefCell<HashMap<u64, Plain>> = RefCell::default();
    static SECURE: RefCell<HashMap<u64, Secure>> = RefCell::default();
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client that trusts the certificates that the system trusts.
    pub fn new() -> Self {
        Self::with(OnceCell::new())
    }

    fn with(trust: OnceCell<Arc<ClientConfig>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { shared: Arc::new(Shared { id: NEXT.fetch_add(1, Relaxed), trust }) }
    }

    /// A client that trusts these authorities only.
    #[cfg(test)]
    fn trusting(roots: RootCertStore) -> Self {
        Self::with(OnceCell::from(tls(roots)))
    }
}

impl Outbound for Client {
    fn send(
        &self,
        request: OutboundRequest,
        limit_time: Duration,
        limit_size: usize,
    ) -> Pin<Box<dyn Future<Output = Result<OutboundResponse, OutboundError>> + Send>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let request = prepare(request.map(Body::full))?;
            let whole = async move { collect(shared.request(request, false).await?, limit_size).await };
            timeout(limit_time, whole).await.unwrap_or(Err(OutboundError::Timeout))
        })
    }

    fn open(&self, request: http::Request<Body>, http2: bool) -> Opening {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            // Who reads trailers says so (RFC 9110, section 10.1.4), and gRPC asks for it.
            let trailers = request.headers().contains_key(TE);
            let mut request = prepare(request)?;
            if http2 && trailers {
                request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
            }
            Ok(shared.request(request, http2).await?.map(Body::from))
        })
    }

    /// There are no upstreams here.
    fn open_upstream(&self, _: usize, name: &str, _: http::Request<Body>) -> Opening {
        let error = OutboundError::Unreachable(format!("there is no upstream `{name}`"));
        Box::pin(async move { Err(error) })
    }
}

impl Shared {
    async fn request(&self, request: http::Request<Body>, http2: bool) -> Result<Response<Incoming>, OutboundError> {
        let sent = if request.uri().scheme() == Some(&Scheme::HTTPS) {
            let config = self.trust.get_or_try_init(load).await?;
            SECURE.with_borrow_mut(|clients| secure(clients, self.id, config).clone()).request(request)
        } else if http2 {
            let client = |clients: &mut HashMap<u64, Plain>| clients.entry(self.id).or_insert_with(plain_http2).clone();
            PLAIN_HTTP2.with_borrow_mut(client).request(request)
        } else {
            PLAIN.with_borrow_mut(|clients| clients.entry(self.id).or_insert_with(plain).clone()).request(request)
        };
        let response = sent.await.map_err(|error| OutboundError::Unreachable(in_full(&error)))?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(OutboundError::Unreachable("a change of protocol that was not asked for".to_owned()));
        }
        Ok(response)
    }
}

/// Checks a request and gives it the fields that belong to the connection: a plugin cannot set these, or it would
/// reach another host of the same server than the one it was granted, or break the framing.
fn prepare(request: http::Request<Body>) -> Result<http::Request<Body>, OutboundError> {
    let invalid = |reason: &str| Err(OutboundError::Invalid(reason.to_owned()));
    let (mut parts, body) = request.into_parts();
    if !matches!(parts.uri.scheme_str(), Some("http" | "https")) {
        return invalid("its target does not begin with http:// or https://");
    }
    match parts.uri.authority() {
        Some(authority) if authority.as_str().contains('@') => return invalid("its target names a user"),
        Some(_) => {}
        None => return invalid("its target has no host"),
    }
    if parts.method == Method::CONNECT {
        return invalid("CONNECT makes a tunnel");
    }
    hop::strip_request(&mut parts.headers);
    for name in [HOST, CONTENT_LENGTH, TE] {
        parts.headers.remove(name);
    }
    parts.version = Version::HTTP_11;
    Ok(http::Request::from_parts(parts, body))
}

async fn collect(response: Response<Incoming>, limit: usize) -> Result<OutboundResponse, OutboundError> {
    let (mut parts, body) = response.into_parts();
    if body.size_hint().lower() > limit as u64 {
        return Err(OutboundError::TooLarge);
    }
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(OutboundError::TooLarge),
        Err(error) => return Err(OutboundError::Unreachable(format!("the body broke off: {error}"))),
    };
    hop::strip_response(&mut parts.headers);
    Ok(Response::from_parts(parts, body))
}

fn builder() -> legacy::Builder {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_max_buf_size(HEADER_SECTION)
        .http2_max_header_list_size(HEADER_SECTION as u32);
    builder
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.enforce_http(false);
    connector
}

fn plain() -> Plain {
    builder().build(connector())
}

fn plain_http2() -> Plain {
    builder().http2_only(true).build(connector())
}

fn secure<'a>(clients: &'a mut HashMap<u64, Secure>, id: u64, config: &Arc<ClientConfig>) -> &'a Secure {
    clients.entry(id).or_insert_with(|| {
        let https = HttpsConnectorBuilder::new().with_tls_config(ClientConfig::clone(config)).https_only();
        builder().build(https.enable_http1().enable_http2().wrap_connector(connector()))
    })
}

/// Reads the system's certificates: files, so not on a worker.
async fn load() -> Result<Arc<ClientConfig>, OutboundError> {
    let read = tokio::task::spawn_blocking(|| {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        roots
    });
    let roots = read.await.map_err(|error| OutboundError::Unreachable(error.to_string()))?;
    if roots.is_empty() {
        return Err(OutboundError::Unreachable("the system has no certificates to trust".to_owned()));
    }
    Ok(tls(roots))
}

fn tls(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows the versions that it was built for");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// An error with what is behind it: hyper's own text says only which step failed.
fn in_full(error: &legacy::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let written = write!(text, ": {error}");
        debug_assert!(written.is_ok(), "a String takes all that is written");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
