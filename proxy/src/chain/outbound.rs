//! A plugin's own requests, as a trait, so that `wasm` need not know `upstream`.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use crate::http::Body;

/// A request that a plugin sends.
pub type OutboundRequest = http::Request<Bytes>;
/// The whole response to it.
pub type OutboundResponse = http::Response<Bytes>;

/// Sends plugins' requests. Whether a plugin may, its host has decided before.
pub trait Outbound: Send + Sync + 'static {
    /// Sends a request to its absolute URI and waits for the whole response, for at most `timeout` and at most
    /// `limit` bytes of body.
    fn send(
        &self,
        request: OutboundRequest,
        timeout: Duration,
        limit: usize,
    ) -> Pin<Box<dyn Future<Output = Result<OutboundResponse, OutboundError>> + Send>>;

    /// Begins a request to its absolute URI and gives the response when its headers are there. Both bodies flow as they
    /// come, trailers with them. With `http2`, cleartext is HTTP/2 with prior knowledge.
    fn open(&self, request: http::Request<Body>, http2: bool) -> Opening;

    /// The same to an upstream of the configuration that serves, on the runtime of this worker. The request's target is in
    /// origin form, and its `Host` is set.
    fn open_upstream(&self, worker: usize, upstream: &str, request: http::Request<Body>) -> Opening;
}

/// A request that is begun.
pub type Opening = Pin<Box<dyn Future<Output = Result<http::Response<Body>, OutboundError>> + Send>>;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The request is not well formed.
    #[error("not a request that can be sent: {0}")]
    Invalid(String),
    /// No connection, or it broke.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// The response did not come in time.
    #[error("no whole answer in time")]
    Timeout,
    /// The response is longer than the limit.
    #[error("the answer is over the limit")]
    TooLarge,
}
