//! Upstreams: a request goes in, a response comes out, and the choice of an endpoint, its connections and their
//! reuse are nobody else's business.
//!
//! Nothing here is shared between workers on a request's path: each has its own connections, its own counters and
//! its own turn in the balancing, for each endpoint one [slot](slot::Slot).

mod balance;
mod cluster;
mod connect;
mod echo;
mod endpoint;
mod error;
mod http1;
mod http2;
mod members;
mod message;
pub mod outbound;
mod outcome;
mod pick;
mod slot;
mod upload;
mod view;

#[cfg(test)]
mod tests;

pub use cluster::{Cluster, EndpointStatus, Sent};
pub use error::Error;
pub use pick::Hint;
