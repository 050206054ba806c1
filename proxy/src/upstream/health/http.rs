//! Checks by an HTTP request.

use std::ops::RangeInclusive;

use ::http::header::{CONNECTION, HOST, USER_AGENT};
use ::http::{HeaderValue, Method, Request, Response, Uri, Version};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;

use super::dial::Dialed;

/// The most bytes of an answer that are looked at.
const MAX_BODY: usize = 64 << 10;

/// What is asked, and what the answer must be.
pub(super) struct Question<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) host: &'a str,
    pub(super) status: &'a [RangeInclusive<u16>],
    pub(super) body: Option<&'a str>,
}

/// Asks over a connection that is closed afterwards.
pub(super) async fn check(dialed: Dialed, question: Question<'_>) -> Result<(), String> {
    let request = request(&question, dialed.http2)?;
    let (response, _driver) = send(dialed, request).await?;
    let status = response.status().as_u16();
    if !question.status.iter().any(|range| range.contains(&status)) {
        return Err(format!("the status is {status}"));
    }
    let Some(wanted) = question.body else { return Ok(()) };
    match Limited::new(response.into_body(), MAX_BODY).collect().await {
        Ok(body) => match memchr::memmem::find(&body.to_bytes(), wanted.as_bytes()) {
            Some(_) => Ok(()),
            None => Err("the body does not have the expected text".to_owned()),
        },
        Err(error) if error.is::<LengthLimitError>() => Err(format!("the body is longer than {MAX_BODY} bytes")),
        Err(error) => Err(format!("the body broke off: {error}")),
    }
}

fn request(question: &Question<'_>, http2: bool) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = question.method.clone();
    let uri = if http2 { format!("http://{}{}", question.host, question.path) } else { question.path.to_owned() };
    *request.uri_mut() = uri.parse::<Uri>().map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static("gofe-health"));
    if !http2 {
        headers.insert(HOST, HeaderValue::from_str(question.host).map_err(|error| error.to_string())?);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(request)
}

/// What drives a connection; dropped, the connection is closed.
pub(super) struct Driver(#[expect(dead_code, reason = "it is held to be dropped")] JoinSet<()>);

/// Sends a request and waits for the head of the response.
pub(super) async fn send<B>(dialed: Dialed, request: Request<B>) -> Result<(Response<Incoming>, Driver), String>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let io = TokioIo::new(dialed.wire);
    let mut tasks = JoinSet::new();
    let broken = |error: hyper::Error| format!("the connection broke off: {error}");
    let response = if dialed.http2 {
        let mut request = request;
        *request.version_mut() = Version::HTTP_2;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.map_err(broken)?;
        // How the connection ends is of no interest: the answer is.
        tasks.spawn(async move { drop(connection.await) });
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = http1::handshake(io).await.map_err(broken)?;
        tasks.spawn(async move { drop(connection.await) });
        sender.send_request(request).await
    };
    Ok((response.map_err(broken)?, Driver(tasks)))
}
