//! The chain: what a plugin of any ABI looks like to the request path, the request in hand, and the runner.
//!
//! [`Filter`] is the seam. Every ABI implements it; a filter says [`Outcome`], and only the runner turns a fault
//! into what the operator chose (`on-error`). The runner is generic over the kind of filter, so that no phase
//! allocates a boxed future.

mod attributes;
mod bytes;
mod exchange;
mod filter;
mod outbound;
mod pump;
mod routing;
mod runner;
mod service;
mod shared;
#[cfg(test)]
mod tests;

pub use attributes::Attributes;
pub use bytes::{Passenger, Passing, Way};
pub use exchange::{Client, Directory, Exchange, Prepared, Reply, State, Summary, TlsInfo};
pub use filter::{BodyPolicy, Fault, FaultKind, Filter, Interest, Outcome, Overflow, Phase, Phases};
pub use outbound::{Opening, Outbound, OutboundError, OutboundRequest, OutboundResponse};
pub use pump::Pumped;
pub use routing::{Retrying, Routing};
pub use runner::{Chain, Hand, HandGuard, MAX_STEPS, Verdict};
pub use service::{Answering, Service};
pub use shared::{Shared, SharedGuard};
