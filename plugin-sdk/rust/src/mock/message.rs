//! Requests and responses of the mock.

use std::time::Duration;

use super::Tls;
use crate::{Field, RetryPolicy, Summary};

/// A request that a client sends, and what the proxy knows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub(super) method: String,
    pub(super) scheme: String,
    pub(super) authority: String,
    pub(super) target: String,
    pub(super) headers: Vec<Field>,
    pub(super) body: Vec<u8>,
    pub(super) chunk: usize,
    pub(super) client: (String, u16),
    pub(super) route: String,
    pub(super) version: String,
    pub(super) tls: Option<Tls>,
    pub(super) attributes: Vec<Field>,
    pub(super) prepared: Vec<Field>,
    pub(super) summary: Summary,
    pub(super) upstream: Option<String>,
    pub(super) hash_key: Option<String>,
    pub(super) timeout: Duration,
    pub(super) retry: Option<RetryPolicy>,
}

impl Request {
    /// A request from 192.0.2.1 to `http://example.com` on the route `test`, with HTTP/1.1.
    #[must_use]
    pub fn new(method: &str, path_with_query: &str) -> Self {
        Self {
            method: method.to_owned(),
            scheme: "http".to_owned(),
            authority: "example.com".to_owned(),
            target: path_with_query.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            chunk: usize::MAX,
            client: ("192.0.2.1".to_owned(), 40_000),
            route: "test".to_owned(),
            version: "HTTP/1.1".to_owned(),
            tls: None,
            attributes: Vec::new(),
            prepared: Vec::new(),
            summary: Summary::default(),
            upstream: None,
            hash_key: None,
            timeout: Duration::from_secs(60),
            retry: None,
        }
    }

    /// How the route sends the request, until the plugin chooses: to which upstream, in which time, and what is done
    /// with a failed try. Without this: to none that has a name, 60 seconds, and nothing.
    #[must_use]
    pub fn routed(self, upstream: &str, timeout: Duration, retry: Option<RetryPolicy>) -> Self {
        Self { upstream: Some(upstream.to_owned()), timeout, retry, ..self }
    }

    /// A GET request.
    #[must_use]
    pub fn get(path_with_query: &str) -> Self {
        Self::new("GET", path_with_query)
    }

    /// A POST request with a body.
    #[must_use]
    pub fn post(path_with_query: &str, body: impl AsRef<[u8]>) -> Self {
        Self { body: body.as_ref().to_vec(), ..Self::new("POST", path_with_query) }
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// Delivers the body in chunks of this size, to plugins that see it as a stream.
    #[must_use]
    pub fn chunks_of(self, size: usize) -> Self {
        Self { chunk: size.max(1), ..self }
    }

    /// The client's address, without the port.
    #[must_use]
    pub fn client(self, address: &str) -> Self {
        Self { client: (address.to_owned(), self.client.1), ..self }
    }

    /// The name of the route.
    #[must_use]
    pub fn route(self, name: &str) -> Self {
        Self { route: name.to_owned(), ..self }
    }

    /// The host and port that the client asked for.
    #[must_use]
    pub fn authority(self, authority: &str) -> Self {
        Self { authority: authority.to_owned(), ..self }
    }

    /// Facts about TLS; the scheme becomes `https`.
    #[must_use]
    pub fn tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), scheme: "https".to_owned(), ..self }
    }

    /// An attribute that a plugin before this one has set.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.attributes.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// A field that a plugin before this one has prepared for the response.
    #[must_use]
    pub fn prepared(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.prepared.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// What `complete` reads about the request.
    #[must_use]
    pub fn summary(self, summary: Summary) -> Self {
        Self { summary, ..self }
    }
}

/// A response of the upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<Field>,
    pub(super) body: Vec<u8>,
}

impl Response {
    /// A response without headers and body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// The body.
    #[must_use]
    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        Self { body: body.as_ref().to_vec(), ..self }
    }
}
