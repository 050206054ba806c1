//! gRPC: what tells a call from another request, its deadline, its statuses, and its form for browsers.
//!
//! The documents are those of gRPC: `PROTOCOL-HTTP2.md`, `PROTOCOL-WEB.md` and `http-grpc-status-mapping.md`.

mod deadline;
pub mod web;

use std::fmt::Write;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, request, response};

pub use deadline::Deadline;

const GRPC: &str = "application/grpc";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// What a message may be long.
const MESSAGE: usize = 1 << 10;

/// The names of the statuses by their number.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// How a call is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As gRPC itself.
    Native,
    /// As browsers write it, its bytes as they are.
    Web,
    /// As browsers write it, its bytes in Base64.
    WebText,
}

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    /// How the client writes it.
    pub form: Form,
    /// Whether gofe translates it to gRPC and back.
    pub translated: bool,
    /// How long the client waits, from the first byte of the call to the last of its answer.
    pub timeout: Option<Duration>,
    /// Whether gofe itself or a plugin answers it.
    pub own: bool,
    /// The status as it is written, once there is one.
    status: Option<&'static str>,
}

impl Call {
    /// The call that a request is, where it is one.
    pub fn of(parts: &request::Parts) -> Option<Self> {
        if parts.method != Method::POST {
            return None;
        }
        let rest = parts.headers.get(CONTENT_TYPE)?.as_bytes().strip_prefix(GRPC.as_bytes())?;
        let form = match rest {
            rest if ends(rest) => Form::Native,
            rest if rest.strip_prefix(b"-web-text").is_some_and(ends) => Form::WebText,
            rest if rest.strip_prefix(b"-web").is_some_and(ends) => Form::Web,
            _ => return None,
        };
        let timeout = parts.headers.get(GRPC_TIMEOUT).and_then(timeout);
        Some(Self { form, translated: false, timeout, own: false, status: None })
    }

    /// Keeps the status that a header section or a trailer section has.
    pub fn note(&mut self, fields: &HeaderMap) {
        if let Some(status) = fields.get(GRPC_STATUS) {
            let number = status.to_str().ok().and_then(|status| status.parse().ok());
            self.status = Some(number.and_then(|number: usize| NAMES.get(number).copied()).unwrap_or("UNKNOWN"));
        }
    }

    /// The status that the client got; a call that broke off has none.
    pub fn status(&self) -> &'static str {
        self.status.unwrap_or("none")
    }

    /// Makes a response of gofe's own, or of a plugin, one that gRPC knows: 200, a status, a message, and no body. One
    /// that is a success or says its status already stays.
    ///
    /// The message is the body, where it is a short text.
    pub fn refuse(&self, parts: &mut response::Parts, body: &[u8]) -> bool {
        let success = !parts.status.is_client_error() && !parts.status.is_server_error();
        if success || parts.headers.contains_key(GRPC_STATUS) {
            return false;
        }
        let plain = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
        let text = str::from_utf8(body).ok().filter(|body| plain && body.len() <= MESSAGE);
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let message = text.unwrap_or_else(|| parts.status.canonical_reason().unwrap_or("error"));
        let kind = match self.form {
            Form::Native => GRPC,
            Form::Web => "application/grpc-web+proto",
            Form::WebText => "application/grpc-web-text+proto",
        };
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        parts.headers.extend(refusal(code(parts.status), message));
        parts.status = StatusCode::OK;
        true
    }
}

/// Whether a response is one of gRPC itself, by its content type.
pub fn is_answer(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.as_bytes().strip_prefix(GRPC.as_bytes()));
    kind.is_some_and(ends)
}

/// The status that a header section or a trailer section has.
pub fn status(fields: &HeaderMap) -> Option<u8> {
    fields.get(GRPC_STATUS)?.to_str().ok()?.parse().ok()
}

/// The status of HTTP that means the same, as Envoy has it. What no version of gRPC knows is an error of the server.
pub fn as_http(status: u8) -> StatusCode {
    match status {
        0 => StatusCode::OK,
        3 | 9 | 11 => StatusCode::BAD_REQUEST,
        16 => StatusCode::UNAUTHORIZED,
        7 => StatusCode::FORBIDDEN,
        5 => StatusCode::NOT_FOUND,
        6 | 10 => StatusCode::CONFLICT,
        8 => StatusCode::TOO_MANY_REQUESTS,
        // Cancelled: the client went away. HTTP has no status for it.
        1 => StatusCode::REQUEST_TIMEOUT,
        12 => StatusCode::NOT_IMPLEMENTED,
        14 => StatusCode::SERVICE_UNAVAILABLE,
        4 => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whether nothing, a format or a parameter follows.
fn ends(rest: &[u8]) -> bool {
    matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// The fields that end a call without an answer.
fn refusal(code: u16, message: &str) -> HeaderMap {
    let message = HeaderValue::try_from(escaped(message)).unwrap_or_else(|_| HeaderValue::from_static(""));
    HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from(code)), (GRPC_MESSAGE, message)])
}

/// The status of gRPC for a status of HTTP that gofe or a plugin gives. Where gRPC's own mapping, which is for
/// clients that get no status at all, knows no better than "unavailable", it is the one that means the same.
fn code(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 | 500 => 13,
        401 => 16,
        403 => 7,
        404 | 405 | 501 => 12,
        408 | 504 => 4,
        413 | 429 | 431 => 8,
        425 | 502 | 503 => 14,
        _ => 2,
    }
}

/// A time as `grpc-timeout` has it: at most eight digits and a unit. One that is no time is for the server to judge.
fn timeout(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// A message as `grpc-message` has it: percent-encoded but for printable ASCII.
fn escaped(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(char::from(byte)),
            _ => {
                let written = write!(text, "%{byte:02X}");
                debug_assert!(written.is_ok(), "a String takes all that is written");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
