//! The endpoints and their answers.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use super::control::{Change, ChangeError, Control};
use super::guard::{Guard, Refusal};
use crate::telemetry::Exposition;

/// Answers requests.
pub(super) struct Api {
    control: Arc<dyn Control>,
    guard: Arc<Guard>,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Health,
    Ready,
    Config,
    Plugins,
    Upstreams,
    Certificates,
    History,
    Metrics,
    Reload,
    Rollback,
}

pub(super) const ENDPOINTS: [(&str, Endpoint); 10] = [
    ("/healthz", Endpoint::Health),
    ("/readyz", Endpoint::Ready),
    ("/config", Endpoint::Config),
    ("/plugins", Endpoint::Plugins),
    ("/upstreams", Endpoint::Upstreams),
    ("/certificates", Endpoint::Certificates),
    ("/history", Endpoint::History),
    ("/metrics", Endpoint::Metrics),
    ("/reload", Endpoint::Reload),
    ("/rollback", Endpoint::Rollback),
];

impl Endpoint {
    fn find(path: &str) -> Option<Self> {
        ENDPOINTS.into_iter().find(|(known, _)| *known == path).map(|(_, endpoint)| endpoint)
    }

    /// Probes need no token: what sends them often cannot have one.
    fn is_probe(self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }

    pub(super) fn changes(self) -> bool {
        matches!(self, Self::Reload | Self::Rollback)
    }

    fn allowed(self) -> &'static str {
        if self.changes() { "POST" } else { "GET, HEAD" }
    }

    fn takes(self, method: &Method) -> bool {
        if self.changes() { method == Method::POST } else { method == Method::GET || method == Method::HEAD }
    }
}

type Answer = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";

impl Api {
    pub(super) fn new(control: Arc<dyn Control>, guard: Arc<Guard>) -> Self {
        Self { control, guard }
    }

    /// Answers a request. Its body has no meaning here and is not read.
    pub(super) async fn answer<B>(&self, request: Request<B>) -> Answer {
        let (request, _) = request.into_parts();
        match self.permit(&request) {
            Ok(Some(endpoint)) if endpoint.takes(&request.method) => self.call(endpoint, &request).await,
            Ok(Some(endpoint)) => {
                let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "the method is not allowed here");
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static(endpoint.allowed()));
                answer
            }
            Ok(None) => not_found(),
            Err((status, reason)) => {
                let mut answer = text(status, reason);
                if status == StatusCode::UNAUTHORIZED {
                    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                }
                answer
            }
        }
    }

    /// The endpoint, for a request that may be answered. Without the token nobody learns which paths there are.
    fn permit(&self, request: &Parts) -> Result<Option<Endpoint>, Refusal> {
        self.guard.admit(request)?;
        let endpoint = Endpoint::find(request.uri.path());
        if !endpoint.is_some_and(Endpoint::is_probe) {
            self.guard.authorize(request)?;
        }
        Ok(endpoint)
    }

    async fn call(&self, endpoint: Endpoint, request: &Parts) -> Answer {
        match endpoint {
            Endpoint::Health => text(StatusCode::OK, "ok"),
            Endpoint::Ready if self.control.ready() => text(StatusCode::OK, "ready"),
            Endpoint::Ready => text(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
            Endpoint::Config => json(StatusCode::OK, &self.control.config()),
            Endpoint::Plugins => json(StatusCode::OK, &self.control.plugins()),
            Endpoint::Upstreams => json(StatusCode::OK, &self.control.upstreams()),
            Endpoint::Certificates => json(StatusCode::OK, &self.control.certificates()),
            Endpoint::History => json(StatusCode::OK, &self.control.history()),
            Endpoint::Metrics => {
                let accept = request.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
                let exposition = Exposition::accepted(accept);
                answer(StatusCode::OK, exposition.content_type(), self.control.metrics(exposition))
            }
            Endpoint::Reload => match request.uri.query() {
                None | Some("") => change(self.control.reload()).await,
                Some(_) => text(StatusCode::BAD_REQUEST, "reload takes no parameters"),
            },
            Endpoint::Rollback => match generation(request.uri.query()) {
                Some(generation) => change(self.control.rollback(generation)).await,
                None => text(StatusCode::BAD_REQUEST, "rollback takes one parameter: generation, a number"),
            },
        }
    }
}

/// The query's generation, where it names one; none when the query is anything else.
fn generation(query: Option<&str>) -> Option<Option<u64>> {
    match query {
        None | Some("") => Some(None),
        // The parser of numbers would take a sign.
        Some(query) => {
            let digits = query.strip_prefix("generation=")?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?.map(Some)
        }
    }
}

/// Drives a change to its end in a task of its own: a client that goes away must not leave it half done.
async fn change(change: Change) -> Answer {
    match tokio::spawn(change).await {
        Ok(Ok(changed)) => json(StatusCode::OK, &changed),
        Ok(Err(error)) => {
            let status = match error {
                ChangeError::Busy => StatusCode::CONFLICT,
                ChangeError::Rejected(_) => StatusCode::UNPROCESSABLE_ENTITY,
                ChangeError::Unknown(_) => StatusCode::NOT_FOUND,
            };
            text(status, &error.to_string())
        }
        // It panicked, which is in the log.
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the change failed; see the log"),
    }
}

fn not_found() -> Answer {
    let mut body = "no such path; there are:".to_owned();
    for (path, endpoint) in ENDPOINTS {
        // Writing to a String does not fail.
        let _ = write!(body, "\n{} {path}", if endpoint.changes() { "POST" } else { "GET" });
    }
    text(StatusCode::NOT_FOUND, &body)
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_string_pretty(value) {
        Ok(mut body) => {
            body.push('\n');
            answer(status, "application/json", body)
        }
        Err(error) => {
            tracing::error!(%error, "the admin API cannot show its state");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the state cannot be shown; see the log")
        }
    }
}

fn text(status: StatusCode, message: &str) -> Answer {
    answer(status, TEXT, format!("{}\n", message.trim_end_matches('\n')))
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
