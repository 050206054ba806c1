//! The client's connection, and what the proxy and the other plugins know of the request.

use std::time::Duration;

use crate::Report;
use crate::host::{attributes, connection, routing};

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
        Report::new(connection::report_so_far())
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
