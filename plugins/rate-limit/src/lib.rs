//! rate-limit: so many requests in so much time, for each client, consumer or whatever the key says.
//!
//! docs/plugins/rate-limit.md is the reference.

mod config;
mod key;
mod quota;
mod rate;
mod window;

use gofe_plugin::prelude::*;
use gofe_plugin::{limiter, metrics};

use config::{Algorithm, Config, MissingKey};
use key::Part;
use quota::Quota;
use rate::Rate;

/// The attribute that says that the request was over the limit.
const LIMITED: &str = "rate-limit.limited";

/// The configured plugin.
#[derive(Debug)]
pub struct RateLimit {
    key: Vec<Part>,
    missing_key: MissingKey,
    rate: Rate,
    algorithm: Algorithm,
    burst: u64,
    status: u16,
    headers: bool,
    shadow: bool,
}

#[gofe_plugin::plugin]
impl Plugin for RateLimit {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        config.check().into_result(())?;
        Ok(Self {
            burst: config.burst.unwrap_or(config.rate.requests),
            key: config.key,
            missing_key: config.missing_key,
            rate: config.rate,
            algorithm: config.algorithm,
            status: config.status,
            headers: config.headers && !config.shadow,
            shadow: config.shadow,
        })
    }

    fn request_headers(&self, request: &Request) -> PhaseResult {
        let key = match (key::read(&self.key, request), self.missing_key) {
            (Some(key), _) => key,
            // No header's value holds a line feed, so these keys cannot be chosen by a client.
            (None, MissingKey::ClientIp) => format!("\n{}", request.connection().client_address()),
            (None, MissingKey::Share) => "\n".to_owned(),
            (None, MissingKey::Skip) => return Ok(Flow::Continue),
            (None, MissingKey::Reject) => {
                return Ok(Reply::error(400, "missing-key", "The request lacks what its limit depends on.").into());
            }
        };
        let quota = self.count(&key);
        if self.headers {
            quota.show(request)?;
        }
        Ok(if quota.allowed { Flow::Continue } else { self.over_limit(request, &quota, &key) })
    }
}

impl RateLimit {
    fn count(&self, key: &str) -> Quota {
        match self.algorithm {
            Algorithm::TokenBucket => {
                let decision = limiter::take(key, 1, self.rate.requests, self.rate.period, self.burst);
                Quota::of_bucket(self.burst, &decision)
            }
            Algorithm::SlidingWindow => window::count(key, self.rate),
        }
    }

    fn over_limit(&self, request: &Request, quota: &Quota, key: &str) -> Flow {
        let mode = if self.shadow { "shadow" } else { "enforce" };
        request.attributes().set(LIMITED, mode);
        // Metrics need a grant, which a limit works without.
        let _ = metrics::add("rate_limited", &[("mode", mode)], 1);
        if self.shadow {
            gofe_plugin::info!("`{key}` is over the limit of {}; it passes because of `shadow`", self.rate);
            return Flow::Continue;
        }
        let message = "Too many requests: try again later.";
        Reply::error(self.status, "rate-limited", message).header("retry-after", quota.retry_seconds()).into()
    }
}

#[cfg(test)]
mod tests;
