//! Upstreams: a request goes in, a response comes out, and the choice of an endpoint, its connections and their
//! reuse are nobody else's business.
//!
//! Nothing here is shared between workers on a request's path: each has its own connections, its own counters and
//! its own turn in the balancing, for each endpoint one [slot](slot::Slot).

mod adaptive;
mod auto;
mod balance;
mod breaker;
mod budget;
mod call_end;
mod cluster;
mod common;
mod connect;
mod connections;
mod counts;
mod discovery;
mod echo;
mod endpoint;
mod error;
mod health;
mod held;
mod http1;
mod http2;
mod idle;
mod judge;
mod members;
mod message;
pub mod outbound;
mod outcome;
mod outlier;
mod pick;
mod proxy_header;
mod raw;
mod replay;
mod service;
mod slot;
mod status;
mod supervisor;
mod trial;
mod tries;
mod upload;
mod view;
mod window;
mod wire;

#[cfg(test)]
mod tests;

pub use breaker::State as BreakerState;
pub use cluster::{Call, Cluster, Connected, Sent};
pub use common::Events;
pub use counts::EndpointEvents;
pub use discovery::Report;
pub use error::Error;
pub use message::{Again, is_repeatable};
pub use pick::Hint;
pub use proxy_header::Ends;
pub use status::{EndpointStatus, Health, Status};
pub use supervisor::Supervisor;
