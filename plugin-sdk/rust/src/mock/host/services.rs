//! The interfaces of `wit/host.wit`.

use std::time::Duration;

use crate::mock::state::with;

pub(crate) mod log {
    use super::*;
    use crate::log::Level;

    pub(crate) fn enabled(level: Level) -> bool {
        with(|state| level >= state.log_level)
    }

    pub(crate) fn log(level: Level, message: &str) {
        if enabled(level) {
            with(|state| state.logs.push((level, message.to_owned())));
        }
    }
}

pub(crate) mod output {
    use super::*;

    pub(crate) fn write_line(line: &[u8]) -> bool {
        with(|state| state.lines.push(line.to_vec()));
        true
    }
}

pub(crate) mod clock {
    use super::*;

    pub(crate) fn now() -> u64 {
        with(|state| crate::clock::nanoseconds(state.now))
    }

    pub(crate) fn monotonic() -> u64 {
        now()
    }
}

pub(crate) mod random {
    use super::*;

    /// SplitMix64: the same numbers in each test.
    pub(crate) fn get_u64() -> u64 {
        with(|state| {
            state.random = state.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state.random ^ (state.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        })
    }

    pub(crate) fn get_bytes(length: u32) -> Vec<u8> {
        (0..length).map(|_| get_u64().to_le_bytes()[0]).collect()
    }
}

pub(crate) mod key_value {
    use super::*;
    use crate::key_value::StoreError;

    fn granted() -> Result<(), StoreError> {
        with(|state| if state.key_value_granted { Ok(()) } else { Err(StoreError::Denied) })
    }

    pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        granted()?;
        Ok(with(|state| {
            let (value, end) = state.values.get(key)?;
            end.is_none_or(|end| state.now < end).then(|| value.clone())
        }))
    }

    pub(crate) fn set(key: &str, value: &[u8], ttl: u64) -> Result<(), StoreError> {
        granted()?;
        if key.len() > 1024 || value.len() > 1024 * 1024 {
            return Err(StoreError::TooLarge);
        }
        with(|state| {
            let end = (ttl > 0).then(|| state.now + Duration::from_nanos(ttl));
            state.values.insert(key.to_owned(), (value.to_vec(), end));
        });
        Ok(())
    }

    pub(crate) fn delete(key: &str) -> Result<(), StoreError> {
        granted()?;
        with(|state| state.values.remove(key));
        Ok(())
    }
}

pub(crate) mod limiter {
    use super::*;
    use crate::bindings::gofe::plugin::limiter::Decision;
    use crate::mock::state::Bucket;

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests count in small numbers, which a double holds exactly"
    )]
    pub(crate) fn take(key: &str, tokens: u64, rate: u64, period: u64, burst: u64) -> Decision {
        let per_nanosecond = rate as f64 / period.max(1) as f64;
        with(|state| {
            let now = state.now;
            let new = || Bucket { tokens: burst as f64, filled: now };
            let bucket = state.buckets.entry(key.to_owned()).or_insert_with(new);
            let passed = now.saturating_sub(bucket.filled).as_nanos() as f64;
            bucket.tokens = (bucket.tokens + passed * per_nanosecond).min(burst as f64);
            bucket.filled = now;
            let missing = tokens as f64 - bucket.tokens;
            let allowed = missing <= 1e-9;
            if allowed {
                bucket.tokens -= tokens as f64;
            }
            Decision {
                allowed,
                remaining: (bucket.tokens + 1e-9) as u64,
                retry_after: if allowed { 0 } else { (missing / per_nanosecond).ceil() as u64 },
                reset_after: ((burst as f64 - bucket.tokens) / per_nanosecond).ceil() as u64,
            }
        })
    }

    pub(crate) fn add(key: &str, delta: i64, ttl: u64) -> i64 {
        with(|state| {
            let new = (0, state.now + Duration::from_nanos(ttl));
            let counter = state.counters.entry(key.to_owned()).or_insert(new);
            if counter.1 <= state.now {
                *counter = new;
            }
            counter.0 = counter.0.saturating_add(delta);
            counter.0
        })
    }

    pub(crate) fn get(key: &str) -> i64 {
        with(|state| state.counters.get(key).filter(|(_, end)| state.now < *end).map_or(0, |(value, _)| *value))
    }
}

pub(crate) mod metrics {
    use super::*;
    use crate::metrics::MetricError;

    fn change(name: &str, labels: &[(&str, &str)], change: impl FnOnce(&mut f64)) -> Result<(), MetricError> {
        let word = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if !word(name) || !labels.iter().all(|(label, _)| word(label)) {
            return Err(MetricError::Invalid);
        }
        with(|state| {
            if !state.metrics_granted {
                return Err(MetricError::Denied);
            }
            let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            change(state.metrics.entry((name.to_owned(), labels)).or_default());
            Ok(())
        })
    }

    #[allow(clippy::cast_precision_loss, reason = "tests count in small numbers")]
    pub(crate) fn add(name: &str, labels: &[(&str, &str)], delta: u64) -> Result<(), MetricError> {
        change(name, labels, |metric| *metric += delta as f64)
    }

    pub(crate) fn set(name: &str, labels: &[(&str, &str)], value: f64) -> Result<(), MetricError> {
        change(name, labels, |metric| *metric = value)
    }

    pub(crate) fn observe(name: &str, labels: &[(&str, &str)], value: f64) -> Result<(), MetricError> {
        change(name, labels, |metric| *metric += value)
    }
}

pub(crate) mod secrets {
    use super::*;
    use crate::secrets::SecretError;

    pub(crate) fn get(name: &str) -> Result<Vec<u8>, SecretError> {
        with(|state| state.secrets.get(name).cloned().ok_or(SecretError::Denied))
    }
}

pub(crate) mod outbound {
    use super::*;
    use crate::Phases;
    use crate::bindings::gofe::plugin::outbound;
    use crate::outbound::{IncomingResponse, OutboundError, OutgoingRequest};

    pub(crate) fn allowed(uri: &str) -> bool {
        let Some(authority) = authority(uri) else {
            return false;
        };
        let customary = authority.strip_suffix(":80").or_else(|| authority.strip_suffix(":443"));
        let granted = |grant: &String| *grant == authority || customary == Some(grant.as_str());
        with(|state| state.http_granted.iter().any(granted))
    }

    pub(crate) fn send(request: outbound::OutgoingRequest<'_>) -> Result<IncomingResponse, OutboundError> {
        let uri = request.uri;
        if authority(uri).is_none() {
            return Err(OutboundError::Invalid(format!("`{uri}` is not an absolute http or https URI")));
        }
        let configuring = with(|state| state.phase == Phases::empty());
        if configuring || !allowed(uri) {
            return Err(OutboundError::Denied);
        }
        // The answer may use the host again, so the state must not be borrowed here.
        match with(|state| state.http_answer.clone()) {
            Some(answer) => answer(&owned(&request)),
            None => Err(OutboundError::Unreachable("the test has no answer for it".to_owned())),
        }
    }

    fn owned(request: &outbound::OutgoingRequest<'_>) -> OutgoingRequest {
        OutgoingRequest {
            method: request.method.to_owned(),
            uri: request.uri.to_owned(),
            headers: request.headers.iter().map(|field| (*field).clone()).collect(),
            body: request.body.to_vec(),
            timeout: request.timeout,
        }
    }

    /// Host and port of a URI, with the port that its scheme implies.
    fn authority(uri: &str) -> Option<String> {
        let (scheme, rest) = uri.split_once("://")?;
        let port = match scheme {
            "http" => "80",
            "https" => "443",
            _ => return None,
        };
        let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
        let has_port =
            authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        Some(if has_port { authority.to_owned() } else { format!("{authority}:{port}") })
    }
}
