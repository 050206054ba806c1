//! The demo server built into gofe: it says what it got.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value, json};

use super::Error;
use crate::http::{Body, BodyError};

/// The most bytes of a request's body.
const BODY_LIMIT: usize = 1 << 20;

/// The endpoint's name in logs.
pub(super) const ENDPOINT: &str = "echo";

/// Answers with what came: `upstream`, `method`, `path` (with query), `headers` and `body` as JSON.
///
/// # Errors
///
/// [`Error::RequestBody`] where the body breaks off or is longer than 1 MiB.
pub(super) async fn answer(upstream: &str, request: Request<Body>) -> Result<Response<Body>, Error> {
    let (parts, body) = request.into_parts();
    let body = collect(body).await.map_err(Error::RequestBody)?;
    let said = json!({
        "upstream": upstream,
        "method": parts.method.as_str(),
        "path": parts.uri.path_and_query().map_or("/", |path| path.as_str()),
        "headers": headers(&parts.headers),
        "body": String::from_utf8_lossy(&body),
    });
    let mut text = said.to_string();
    text.push('\n');
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(if parts.method == Method::HEAD { Body::Empty } else { Body::full(text) });
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(http::header::CONTENT_LENGTH, length);
    Ok(response)
}

async fn collect(body: Body) -> Result<Bytes, BodyError> {
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge(BODY_LIMIT as u64)),
        Err(error) => Err(error.downcast::<BodyError>().map_or(BodyError::Ended, |error| *error)),
    }
}

/// Names with their value, or with a list of values where there are several.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let mut map = Map::new();
    for name in headers.keys() {
        let mut values: Vec<Value> =
            headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()).into()).collect();
        let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        map.insert(name.as_str().to_owned(), value);
    }
    map
}
