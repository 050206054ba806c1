//! Requests of the plugin's own, to hosts that `allow.http` names.

use std::time::Duration;

use crate::host;

pub use crate::bindings::gofe::plugin::outbound::{IncomingResponse, OutboundError, OutgoingRequest};

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
    host::outbound::send(request)
}
