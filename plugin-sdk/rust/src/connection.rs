//! The client's connection, and what the proxy and the other plugins know of the request.

use std::time::Duration;

use crate::host::{attributes, connection, routing};

use crate::bindings::gofe::plugin::connection as bindings;

pub use crate::bindings::gofe::plugin::connection::Tls;

/// The client's connection, and what the proxy knows of the request.
#[derive(Debug)]
pub struct Connection(pub(crate) ());

impl Connection {
    /// The address of the client without the port: `192.0.2.7` or `2001:db8::7`.
    #[must_use]
    pub fn client_address(&self) -> String {
        connection::client_address()
    }

    /// The port of the client.
    #[must_use]
    pub fn client_port(&self) -> u16 {
        connection::client_port()
    }

    /// The name of the route that was chosen.
    #[must_use]
    pub fn route(&self) -> String {
        connection::route()
    }

    /// The version that the client speaks, for example `HTTP/1.1` or `HTTP/2`.
    #[must_use]
    pub fn http_version(&self) -> String {
        connection::http_version()
    }

    /// The TLS facts; nothing on a cleartext connection.
    #[must_use]
    pub fn tls(&self) -> Option<Tls> {
        connection::tls_info()
    }

    /// The name of the upstream and the address of its endpoint; nothing where none was used.
    #[must_use]
    pub fn upstream(&self) -> Option<(String, String)> {
        connection::upstream()
    }

    /// The request in one look, for a log. It takes one call of the proxy and one allocation.
    #[must_use]
    pub fn report(&self) -> Report {
        Report(connection::report_so_far())
    }

    /// What happened to the request so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let summary = connection::summary_so_far();
        Summary {
            duration: Duration::from_nanos(summary.duration),
            upstream_duration: summary.upstream_duration.map(Duration::from_nanos),
            request_bytes: summary.request_bytes,
            response_bytes: summary.response_bytes,
            error: summary.error,
        }
    }
}

/// What happened to a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// From the first byte of the request to the last byte of the response.
    pub duration: Duration,
    /// Until the upstream's response headers came; nothing where no upstream was used.
    pub upstream_duration: Option<Duration>,
    /// Bytes of the request body that were read from the client.
    pub request_bytes: u64,
    /// Bytes of the response body that were handed to the client.
    pub response_bytes: u64,
    /// Why the proxy itself ended the request, in one word (`upstream-refused`, `client-gone`, ...).
    pub error: Option<String>,
}

/// The request in one look: what it was, and what happened to it so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(bindings::Report);

impl Report {
    /// The time of the report, since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.0.time)
    }

    /// From the first byte of the request to the last byte of the response.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.0.duration)
    }

    /// Until the upstream's response headers came; nothing where no upstream was used.
    #[must_use]
    pub fn upstream_duration(&self) -> Option<Duration> {
        self.0.upstream_duration.map(Duration::from_nanos)
    }

    /// Bytes of the request body that were read from the client.
    #[must_use]
    pub fn request_bytes(&self) -> u64 {
        self.0.request_bytes
    }

    /// Bytes of the response body that were handed to the client.
    #[must_use]
    pub fn response_bytes(&self) -> u64 {
        self.0.response_bytes
    }

    /// The status code of the response; 0 where there was none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// The port of the client.
    #[must_use]
    pub fn client_port(&self) -> u16 {
        self.0.client_port
    }

    /// The address of the client without the port.
    #[must_use]
    pub fn client_address(&self) -> &str {
        self.text(0, self.0.ends.client_address)
    }

    /// The name of the route.
    #[must_use]
    pub fn route(&self) -> &str {
        self.text(self.0.ends.client_address, self.0.ends.route)
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.text(self.0.ends.route, self.0.ends.method)
    }

    /// The scheme that the client used.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.text(self.0.ends.method, self.0.ends.scheme)
    }

    /// The host and port that the client asked for.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.text(self.0.ends.scheme, self.0.ends.authority)
    }

    /// Path and query, as plugins left them.
    #[must_use]
    pub fn path_with_query(&self) -> &str {
        self.text(self.0.ends.authority, self.0.ends.path_with_query)
    }

    /// Path and query as the client wrote them.
    #[must_use]
    pub fn original_path_with_query(&self) -> &str {
        match self.text(self.0.ends.path_with_query, self.0.ends.original_path_with_query) {
            "" => self.path_with_query(),
            original => original,
        }
    }

    /// The version that the client speaks.
    #[must_use]
    pub fn http_version(&self) -> &str {
        self.text(self.0.ends.original_path_with_query, self.0.ends.http_version)
    }

    /// The name of the upstream; nothing where none was used.
    #[must_use]
    pub fn upstream(&self) -> Option<&str> {
        some(self.text(self.0.ends.http_version, self.0.ends.upstream))
    }

    /// The address of the upstream's endpoint; nothing where none was used.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        some(self.text(self.0.ends.upstream, self.0.ends.endpoint))
    }

    /// Why the proxy itself ended the request, in one word.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        some(self.text(self.0.ends.endpoint, self.0.ends.error))
    }

    fn text(&self, from: u32, to: u32) -> &str {
        self.0.texts.get(from as usize..to as usize).unwrap_or_default()
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The attributes of the request: what the plugins of a chain tell each other, and what a plugin remembers from one
/// phase to the next. By custom a name begins with the plugin's kind, for example `jwt.sub`.
#[derive(Debug)]
pub struct Attributes(pub(crate) ());

impl Attributes {
    /// The value of an attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        attributes::get(name)
    }

    /// The value of an attribute where it is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<String> {
        attributes::get(name).and_then(|value| String::from_utf8(value).ok())
    }

    /// Sets an attribute. False when the request has no room: 64 attributes and 64 KiB at most.
    pub fn set(&self, name: &str, value: impl AsRef<[u8]>) -> bool {
        attributes::set(name, value.as_ref())
    }

    /// Removes an attribute.
    pub fn remove(&self, name: &str) {
        attributes::remove(name);
    }
}

/// Whether the proxy's configuration has an upstream of this name. Also in [`crate::Plugin::new`].
#[must_use]
pub fn has_upstream(name: &str) -> bool {
    routing::has_upstream(name)
}
