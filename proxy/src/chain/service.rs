//! What answers requests within gofe, as a trait, so that `upstream` need not know `wasm`.

use std::future::Future;
use std::pin::Pin;

use http::{Request, Response};

use super::Fault;
use crate::http::Body;

/// Answers requests in the place of a server in the network.
pub trait Service: Send + Sync + 'static {
    /// Answers a request, on the runtime of this worker. Its target is in absolute form. Both bodies flow as they come,
    /// trailers with them. Dropping the future, or the body of the response, gives the request up.
    fn answer(&self, worker: usize, request: Request<Body>) -> Answering;
}

/// A request that is being answered.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Fault>> + Send>>;
