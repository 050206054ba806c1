//! Whether a try has failed, and whether another may follow.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Response, StatusCode};

use super::Error;
use super::slot::random;
use crate::config::{Condition, Retry};
use crate::http::{Body, grpc};

/// Whether a response is one that the policy repeats.
pub(super) fn is_bad(retry: &Retry, response: &Response<Body>) -> bool {
    let status = response.status();
    retry.on.iter().any(|condition| match condition {
        Condition::ServerError => status.is_server_error(),
        Condition::GatewayError => {
            matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
        }
        Condition::Status(wanted) => status == *wanted,
        Condition::Grpc(wanted) => grpc::status(response.headers()) == Some(*wanted),
        _ => false,
    })
}

/// Whether an error is one that the policy repeats.
pub(super) fn is_repeated(retry: &Retry, error: &Error) -> bool {
    let kind = match error {
        Error::Connect { .. } | Error::ConnectTimeout { .. } | Error::Tls { .. } => Condition::ConnectFailure,
        Error::Reset { .. } if error.is_refused_stream() => Condition::RefusedStream,
        Error::Reset { .. } | Error::BadResponse { .. } | Error::Component { .. } => Condition::Reset,
        Error::ResponseTimeout { .. } => Condition::Timeout,
        Error::CircuitOpen { .. } | Error::Overloaded { .. } | Error::NoEndpoint { .. } | Error::RequestBody(_) => {
            return false;
        }
    };
    // No response for any reason belongs to these two as well.
    let any = [Condition::ServerError, Condition::GatewayError];
    retry.on.iter().any(|condition| *condition == kind || any.contains(condition))
}

/// Whether a request of this method may be sent twice (RFC 9110, section 9.2.2).
pub(super) fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE)
}

/// The pause before the try that follows on so many: a random part of what doubles each time ("full jitter").
pub(super) fn pause(retry: &Retry, tries: u32) -> Duration {
    let whole = retry.backoff_base.saturating_mul(1 << (tries - 1).min(20)).min(retry.backoff_max);
    whole.mul_f64(random())
}

/// How long a response asks to wait (RFC 9110, section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn retry() -> Retry {
        Retry {
            attempts: 3,
            per_try_timeout: None,
            on: vec![Condition::GatewayError, Condition::Status(StatusCode::TOO_MANY_REQUESTS), Condition::Grpc(14)],
            backoff_base: Duration::from_millis(100),
            backoff_max: Duration::from_millis(300),
            retry_after: Duration::from_secs(1),
            body_size: 0,
            non_idempotent: false,
        }
    }

    fn response(status: u16, grpc: Option<&'static str>) -> Response<Body> {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        if let Some(grpc) = grpc {
            response.headers_mut().insert("grpc-status", HeaderValue::from_static(grpc));
        }
        response
    }

    #[test]
    fn conditions_are_what_they_say() {
        let bad = |status, grpc| is_bad(&retry(), &response(status, grpc));
        assert!(bad(502, None) && bad(503, None) && bad(504, None) && bad(429, None) && bad(200, Some("14")));
        assert!(!bad(500, None) && !bad(200, None) && !bad(200, Some("5")) && !bad(404, None));
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        for (tries, most) in [(1, 100), (2, 200), (3, 300), (9, 300)] {
            let pauses = (0..200).map(|_| pause(&retry(), tries)).collect::<Vec<_>>();
            assert!(pauses.iter().all(|pause| *pause <= Duration::from_millis(most)));
            assert!(pauses.iter().any(|pause| *pause > Duration::from_millis(most / 2)));
            assert!(pauses.iter().any(|pause| *pause < Duration::from_millis(most / 2)));
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).expect("a value"));
            retry_after(&headers)
        };
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        assert_eq!(asked("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        assert!(asked("Fri, 31 Dec 2100 23:59:59 GMT").is_some_and(|time| time > Duration::from_secs(1)));
        assert_eq!(asked("soon"), None);
    }
}
