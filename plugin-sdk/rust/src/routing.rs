//! How the request in hand is sent.

use std::time::Duration;

// The policy in the contract's terms.
use crate::bindings::gofe::plugin::routing::RetryPolicy as Bound;
use crate::clock::nanoseconds;
use crate::host::routing;
use crate::{MessageError, Request, RoutingError};

/// What is done with a failed try. Which tries have failed, the pauses between tries and how much of a body is kept are the
/// operator's choice, in `retry` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first among them: 1 to 10.
    pub attempts: u32,
    /// How long one try may take, to the head of its response: up to one day.
    pub per_try_timeout: Option<Duration>,
    /// Whether the request may be tried again although its method is not idempotent (RFC 9110, section 9.2.2).
    pub non_idempotent: bool,
}

impl Request {
    /// The upstream: the one that a plugin chose, or the route's. Nothing where the route has none, or one of several
    /// that is drawn when the request is sent.
    #[must_use]
    pub fn upstream(&self) -> Option<String> {
        routing::upstream()
    }

    /// Sends the request to this upstream in the place of the route's.
    pub fn set_upstream(&self, name: &str) -> Result<(), RoutingError> {
        routing::set_upstream(name)
    }

    /// Narrows the choice to the endpoints whose labels have these values.
    pub fn set_subset(&self, labels: &[(String, String)]) -> Result<(), RoutingError> {
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        routing::set_subset(&labels)
    }

    /// Chooses what is hashed where the upstream's balancing goes by a hash (ring hash, Maglev), in the place of the key
    /// in its configuration: requests with the same key go to the same endpoint.
    pub fn set_hash_key(&self, key: &str) -> Result<(), RoutingError> {
        routing::set_hash_key(key)
    }

    /// How long the request has from its begin to the end of the response's headers: the route's `timeout`, the deadline
    /// of a gRPC call where that is less, or what a plugin chose.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_nanos(routing::timeout())
    }

    /// Chooses that time in the place of the route's: more than zero, and up to one day. It holds from when the request
    /// is sent, and does not outlast the deadline of a gRPC call.
    pub fn set_timeout(&self, timeout: Duration) -> Result<(), MessageError> {
        routing::set_timeout(nanoseconds(timeout))
    }

    /// What is done with a failed try: the policy that a plugin chose, or the route's, or the upstream's. Nothing where
    /// there is none: then the request is tried again only where an endpoint takes no connection.
    #[must_use]
    pub fn retry(&self) -> Option<RetryPolicy> {
        routing::retry().map(RetryPolicy::from)
    }

    /// Chooses what is done with a failed try of this request. The upstream's retry budget holds in any case.
    pub fn set_retry(&self, policy: Option<RetryPolicy>) -> Result<(), MessageError> {
        routing::set_retry(policy.map(RetryPolicy::into))
    }
}

impl From<Bound> for RetryPolicy {
    fn from(policy: Bound) -> Self {
        let Bound { attempts, per_try_timeout, non_idempotent } = policy;
        Self { attempts, per_try_timeout: per_try_timeout.map(Duration::from_nanos), non_idempotent }
    }
}

impl From<RetryPolicy> for Bound {
    fn from(policy: RetryPolicy) -> Self {
        let RetryPolicy { attempts, per_try_timeout, non_idempotent } = policy;
        Self { attempts, per_try_timeout: per_try_timeout.map(nanoseconds), non_idempotent }
    }
}
