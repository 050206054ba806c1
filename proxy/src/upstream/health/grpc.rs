//! Checks by the gRPC health checking protocol (grpc.health.v1).

use ::http::header::{CONTENT_TYPE, HeaderName, TE, USER_AGENT};
use ::http::{HeaderMap, HeaderValue, Method, Request};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use prost::Message;

use super::dial::Dialed;
use super::http as exchange;

const MAX_BODY: usize = 4 << 10;
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    status: i32,
}

/// `grpc.health.v1.HealthCheckResponse.ServingStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// Calls `Check` and asks for SERVING.
pub(super) async fn check(dialed: Dialed, authority: &str, service: &str) -> Result<(), String> {
    let message = HealthCheckRequest { service: service.to_owned() }.encode_to_vec();
    let mut frame = BytesMut::with_capacity(5 + message.len());
    // A message, not compressed, and its length.
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put_slice(&message);
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
        .header(TE, HeaderValue::from_static("trailers"))
        .header(USER_AGENT, HeaderValue::from_static("gofe-health"))
        .body(Full::new(frame.freeze()))
        .map_err(|error| error.to_string())?;
    let (response, _driver) = exchange::send(dialed, request).await?;
    if response.status() != 200 {
        return Err(format!("the status is {}", response.status().as_u16()));
    }
    let (head, body) = response.into_parts();
    // Without a message the status stands in the head ("Trailers-Only").
    status_of(&head.headers).map_or(Ok(()), accepted)?;
    let collected = Limited::new(body, MAX_BODY).collect().await.map_err(|error| error.to_string())?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    match status_of(&trailers) {
        Some(status) => accepted(status)?,
        None => return Err("the answer has no grpc-status".to_owned()),
    }
    judge(collected.to_bytes())
}

fn status_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(GRPC_STATUS).map(|status| status.to_str().unwrap_or("of no known form"))
}

fn accepted(status: &str) -> Result<(), String> {
    if status == "0" { Ok(()) } else { Err(format!("the grpc-status is {status}")) }
}

fn judge(mut frame: Bytes) -> Result<(), String> {
    if frame.len() < 5 || frame.get_u8() != 0 || frame.get_u32() as usize != frame.len() {
        return Err("the answer is no gRPC message".to_owned());
    }
    let answer = HealthCheckResponse::decode(frame).map_err(|error| error.to_string())?;
    match answer.status() {
        ServingStatus::Serving => Ok(()),
        ServingStatus::Unknown => Err("the service is UNKNOWN".to_owned()),
        ServingStatus::NotServing => Err("the service is NOT_SERVING".to_owned()),
        ServingStatus::ServiceUnknown => Err("the service is SERVICE_UNKNOWN".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_serving_is_well() {
        let answer = |bytes: &'static [u8]| judge(Bytes::from_static(bytes));
        assert_eq!(answer(&[0, 0, 0, 0, 2, 8, 1]), Ok(()));
        assert_eq!(answer(&[0, 0, 0, 0, 2, 8, 2]), Err("the service is NOT_SERVING".to_owned()));
        assert_eq!(answer(&[0, 0, 0, 0, 0]), Err("the service is UNKNOWN".to_owned()));
        for broken in [&[0, 0, 0, 0, 2, 8][..], &[1, 0, 0, 0, 2, 8, 1], &[], &[0, 0, 0, 0, 1, 8]] {
            assert!(answer(Box::leak(broken.to_vec().into_boxed_slice())).is_err(), "{broken:?}");
        }
    }
}
