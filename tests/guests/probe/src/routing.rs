//! How the request is sent, as commands say: they follow on each other, and what one says ends them.

use std::fmt::Debug;
use std::time::Duration;

use gofe_plugin::{Request, RetryPolicy};

/// Makes these choices. Nothing is said where all are accepted: the request goes on.
pub(crate) fn choose(request: &Request, mut choices: &[&str]) -> Option<String> {
    loop {
        let (refused, rest) = match choices {
            [] => return None,
            ["read", ..] => {
                let retry = request.retry();
                return Some(format!("{:?} {:?} {retry:?}", request.upstream(), request.timeout()));
            }
            ["upstream", name, rest @ ..] => (refused(request.set_upstream(name)), rest),
            ["hash-key", key, rest @ ..] => (refused(request.set_hash_key(key)), rest),
            ["timeout", time, rest @ ..] => (refused(request.set_timeout(milliseconds(time))), rest),
            ["no-retry", rest @ ..] => (refused(request.set_retry(None)), rest),
            ["retry", attempts, per_try, methods, rest @ ..] => {
                let policy = RetryPolicy {
                    attempts: attempts.parse().unwrap_or_default(),
                    per_try_timeout: (*per_try != "none").then(|| milliseconds(per_try)),
                    non_idempotent: *methods == "all",
                };
                (refused(request.set_retry(Some(policy))), rest)
            }
            other => return Some(format!("no such choice: {other:?}")),
        };
        if refused.is_some() {
            return refused;
        }
        choices = rest;
    }
}

fn milliseconds(text: &str) -> Duration {
    Duration::from_millis(text.parse().unwrap_or_default())
}

fn refused<E: Debug>(result: Result<(), E>) -> Option<String> {
    result.err().map(|error| format!("{error:?}"))
}
