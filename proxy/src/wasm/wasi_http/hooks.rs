//! Requests that a component sends: to hosts and upstreams that the YAML names, and to nobody else.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Uri, Version};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, timeout_at};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::super::Env;
use super::body::Sent;
use super::life::Life;
use crate::chain::{Opening, OutboundError};
use crate::http::{Body, hop};

/// The most requests of its own that an instance has on their way at a time, where it serves no more than that. Each may
/// be a connection.
const MAX_REQUESTS: usize = 128;

/// What decides about a component's requests.
pub(super) struct Hooks {
    env: Arc<Env>,
    life: Arc<Life>,
    worker: usize,
    /// Places for requests on their way.
    places: Arc<Semaphore>,
}

type Answered = (Response<WasiBody>, Done);
type Done = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl Hooks {
    /// What decides for an instance of this worker, which serves so many requests at a time.
    pub(super) fn new(env: Arc<Env>, life: Arc<Life>, worker: usize, concurrency: usize) -> Self {
        Self { env, life, worker, places: Arc::new(Semaphore::new(MAX_REQUESTS.max(concurrency))) }
    }

    /// Begins a request, where it is granted: to an upstream by its name alone, or to a host. Gives its body back where it is
    /// not.
    fn open(&self, request: Request<WasiBody>) -> Result<Opening, (Error, WasiBody)> {
        let uri = request.uri();
        if *request.method() == Method::CONNECT || uri.authority().is_some_and(|named| named.as_str().contains('@')) {
            return Err((Error::HttpRequestUriInvalid, request.into_body()));
        }
        let granted = self.env.allows_host(uri);
        let Some(host) = uri.host().filter(|_| granted).map(str::to_owned) else {
            return Err((Error::HttpRequestDenied, request.into_body()));
        };
        let (mut parts, body) = request.into_parts();
        let life = self.life.clone();
        let body = Sent::over(body, move || life.goes_on());
        parts.version = Version::HTTP_11;
        if parts.uri.port().is_some() || !self.env.upstreams.contains(&*host) {
            return Ok(self.env.outbound.open(Request::from_parts(parts, body), false));
        }
        hop::strip_request(&mut parts.headers);
        let path = std::mem::take(&mut parts.uri).into_parts().path_and_query;
        parts.uri = path.map(Uri::from).unwrap_or_default();
        Ok(self.env.outbound.open_upstream(self.worker, &host, Request::from_parts(parts, body)))
    }
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        // What becomes of the response's body is of no interest.
        _: Done,
    ) -> Box<dyn Future<Output = Result<Answered, Error>> + Send> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Box::new(async { Err(Error::ConnectionLimitReached) });
        };
        let opening = self.open(request);
        let options = options.unwrap_or_default();
        let limits = self.env.allow.http_limits.clone();
        let life = self.life.clone();
        Box::new(async move {
            let end = Instant::now() + limits.timeout;
            let first = options.first_byte_timeout.map_or(end, |most| end.min(Instant::now() + most));
            let opening = match opening {
                Ok(opening) => opening,
                Err((error, body)) => {
                    tokio::spawn(timeout_at(end, discard(body, place)));
                    return Err(error);
                }
            };
            let answered = timeout_at(first, opening).await;
            life.goes_on();
            let mut response = match answered {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => return Err(unsent(&error)),
                Err(_) => return Err(Error::ConnectionReadTimeout),
            };
            hop::strip_response(response.headers_mut());
            let most = limits.response_size as u64;
            let between = options.between_bytes_timeout;
            let response = response.map(|body| Received::over(body, most, end, between, life, place));
            Ok((response, Box::new(async { Ok(()) }) as Done))
        })
    }
}

/// Takes a body to its end, for nobody. A guest may write it before it looks for the answer, and take one that cannot be
/// written for a failure of its own: the engine of JavaScript ends then. The request has its place until then.
async fn discard(mut body: WasiBody, _: OwnedSemaphorePermit) {
    while let Some(Ok(_)) = body.frame().await {}
}

fn unsent(error: &OutboundError) -> Error {
    match error {
        OutboundError::Invalid(_) => Error::HttpRequestUriInvalid,
        OutboundError::Unreachable(_) => Error::DestinationUnavailable,
        OutboundError::Timeout => Error::ConnectionReadTimeout,
        OutboundError::TooLarge => Error::HttpResponseBodySize(None),
    }
}

/// The body of a response to a component's request.
struct Received {
    body: Body,
    /// How many bytes it may still have.
    left: u64,
    most: u64,
    /// Until when it must have ended.
    timer: Pin<Box<Sleep>>,
    end: Instant,
    /// How long it may stand still.
    between: Option<Duration>,
    life: Arc<Life>,
    /// The request's place, until the body has ended.
    place: Option<OwnedSemaphorePermit>,
}

impl Received {
    fn over(
        body: Body,
        most: u64,
        end: Instant,
        between: Option<Duration>,
        life: Arc<Life>,
        place: OwnedSemaphorePermit,
    ) -> WasiBody {
        let timer = Box::pin(tokio::time::sleep_until(end));
        Self { body, left: most, most, timer, end, between, life, place: Some(place) }.boxed_unsync()
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let frame = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                return this.timer.as_mut().poll(cx).map(|()| Some(Err(Error::ConnectionReadTimeout)));
            }
        };
        this.life.goes_on();
        if let Some(between) = this.between {
            this.timer.as_mut().reset(this.end.min(Instant::now() + between));
        }
        let Some(Ok(frame)) = frame else {
            this.place = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|_| Error::HttpResponseIncomplete)));
        };
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        match this.left.checked_sub(length) {
            Some(left) => {
                this.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => Poll::Ready(Some(Err(Error::HttpResponseBodySize(Some(this.most))))),
        }
    }
}
