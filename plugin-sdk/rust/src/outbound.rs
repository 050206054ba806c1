//! Requests of the plugin's own, to hosts that `allow.http` names.

use std::time::Duration;

use crate::host;

use crate::Field;
use crate::bindings::gofe::plugin::outbound::OutgoingRequest as Borrowed;

pub use crate::bindings::gofe::plugin::outbound::{IncomingResponse, OutboundError};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutgoingRequest {
    /// The method.
    pub method: String,
    /// An absolute URI with scheme `http` or `https`.
    pub uri: String,
    /// Header fields. `host` comes from the URI where it is not given.
    pub headers: Vec<Field>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// Nanoseconds until the whole response must be there. 0 takes the configuration's limit, and no value goes past
    /// that.
    pub timeout: u64,
}

/// Whether the configuration grants the host of this URI. Also in [`crate::Plugin::new`], so that a plugin can say at
/// once that a grant is missing.
#[must_use]
pub fn allowed(uri: &str) -> bool {
    host::outbound::allowed(uri)
}

/// Gets a URI within `timeout`; zero takes the configuration's limit. The wait does not count against the plugin's
/// time. Not in [`crate::Plugin::new`]: there it gives [`OutboundError::Denied`].
pub fn get(uri: &str, timeout: Duration) -> Result<IncomingResponse, OutboundError> {
    send(&OutgoingRequest {
        method: "GET".to_owned(),
        uri: uri.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: crate::clock::nanoseconds(timeout),
    })
}

/// Sends a request and waits for the response.
pub fn send(request: &OutgoingRequest) -> Result<IncomingResponse, OutboundError> {
    let headers: Vec<&Field> = request.headers.iter().collect();
    host::outbound::send(Borrowed {
        method: &request.method,
        uri: &request.uri,
        headers: &headers,
        body: &request.body,
        timeout: request.timeout,
    })
}
