//! Where a request goes, and how it is sent, where a plugin chose.

use std::time::Duration;

use crate::config::Retry;

/// Where a plugin sends the request.
#[derive(Debug, Default, Clone)]
pub struct Routing {
    /// The upstream, in the place of the route's.
    pub upstream: Option<Box<str>>,
    /// Labels that the endpoint must have.
    pub subset: Vec<(String, String)>,
    /// What is hashed, where the upstream chooses by a hash, in the place of what its configuration names.
    pub hash_key: Option<Box<[u8]>>,
    /// What is done with a failed try, in the place of what route and upstream say.
    pub retry: Option<Box<Option<Retrying>>>,
}

/// What a plugin may read and choose of a retry policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retrying {
    /// Tries in all, the first among them.
    pub attempts: u32,
    /// How long one try may take, to the head of its response.
    pub per_try_timeout: Option<Duration>,
    /// Whether the request may be tried again although its method is not idempotent (RFC 9110, section 9.2.2).
    pub non_idempotent: bool,
}

impl From<&Retry> for Retrying {
    fn from(retry: &Retry) -> Self {
        let Retry { attempts, per_try_timeout, non_idempotent, .. } = *retry;
        Self { attempts, per_try_timeout, non_idempotent }
    }
}

impl Retrying {
    /// The whole policy: what a plugin cannot choose is as configured.
    pub fn over(self, configured: Option<&Retry>) -> Retry {
        let Self { attempts, per_try_timeout, non_idempotent } = self;
        Retry { attempts, per_try_timeout, non_idempotent, ..configured.cloned().unwrap_or_default() }
    }
}
