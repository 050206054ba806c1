//! A component that stands before another handler: a step of a chain.
//!
//! Its handler is called when the request's headers are here. When it hands the request on, the step is over, and the guest
//! waits; when the response's headers are here, the guest gets the response, and what it makes of it goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use serde_json::Value;
use tokio::sync::oneshot;
use wasmtime_wasi_http::WasiBody;

use super::super::recognise::WasiHttp;
use super::super::{Abi, Artifact, Engine, Env, LoadError};
use super::body::{Inbound, Outbound, Sent, Source};
use super::call::{Call, Hold};
use super::next::Handed;
use super::{Fleet, Handling, Terms, call, is_final};
use crate::chain::{Exchange, Fault, Filter, Interest, Outcome, Phase, Phases, Reply, State};
use crate::config::{InstanceMode, OnError, Reuse};
use crate::http::{Body, BodyError};

/// The most instances at a time, in all workers.
const MAX_INSTANCES: usize = 1024;

/// A component that stands before another handler.
pub struct Middleware(Fleet);

/// A request that was handed on.
struct Waiting {
    handling: Handling,
    answer: oneshot::Sender<Response<WasiBody>>,
    call: Arc<Call>,
    hold: Hold,
}

impl Middleware {
    /// Makes a component ready: links it, and makes an instance to see that it starts.
    ///
    /// # Errors
    /// When the code is of another ABI, asks for what there is not, or fails while it starts.
    pub async fn load(engine: &Engine, artifact: &Artifact, env: Env) -> Result<Self, LoadError> {
        if artifact.abi != Abi::WasiHttp(WasiHttp::Middleware) {
            let reason = "it hands no request on, so it is no step of a chain: name it as `component` of an upstream";
            return Err(LoadError::abi(artifact.abi, reason));
        }
        let reuse = Reuse::default();
        let reuse = match env.instance {
            InstanceMode::PerCall => reuse,
            InstanceMode::PerRequest => Reuse { concurrency: Some(1), ..reuse },
            InstanceMode::Fresh => Reuse { requests: Some(1), concurrency: Some(1), ..reuse },
        };
        let environment = environment(&env.config).map_err(LoadError::Configuration)?;
        let terms = Terms { environment, instances: MAX_INSTANCES, reuse };
        Fleet::new(engine, artifact, env, terms).await.map(Self)
    }

    fn identity(&self) -> usize {
        Arc::as_ptr(&self.0.env).addr()
    }

    /// Gives the guest the request; true where the guest answers itself.
    async fn request(&self, exchange: &mut Exchange) -> Result<bool, Fault> {
        let (next, mut handed) = oneshot::channel();
        let (call, hold, ticket) = call::begin(Some(next));
        let (body, source) = Inbound::over(std::mem::take(&mut exchange.message), call.clone());
        let request = request(exchange, body);
        let mut handling = self.0.handle(exchange.client.worker, call.clone(), ticket, request);
        let answered = tokio::select! {
            biased;
            handed = &mut handed => match handed {
                Ok(Handed { request, answer }) => {
                    hand_on(exchange, request, &call);
                    let waiting = Waiting { handling, answer, call, hold };
                    exchange.leases.push((self.identity(), Box::new(waiting)));
                    return Ok(false);
                }
                // It will not ask any more.
                Err(_) => handling.await,
            },
            answered = &mut handling => answered,
        };
        match answered.and_then(|response| is_final(response, None)) {
            Ok(response) => {
                let (parts, body) = Outbound::over(response, hold, &exchange.request.method).into_parts();
                exchange.reply = Some(Reply { status: parts.status, headers: parts.headers, body });
                Ok(true)
            }
            Err(fault) => Err(given_back(fault, &source, exchange)),
        }
    }

    /// Gives the guest the response to the request that it handed on.
    async fn response(&self, exchange: &mut Exchange) -> Result<(), Fault> {
        let identity = self.identity();
        let Some(at) = exchange.leases.iter().position(|(holder, _)| *holder == identity) else { return Ok(()) };
        let Ok(waiting) = exchange.leases.swap_remove(at).1.downcast::<Waiting>() else { return Ok(()) };
        let Waiting { handling, answer, call, hold } = *waiting;
        let (body, source) = Inbound::over(std::mem::take(&mut exchange.message), call);
        let mut response = Response::new(body);
        if let Some(parts) = &exchange.response {
            *response.status_mut() = parts.status;
            *response.headers_mut() = parts.headers.clone();
        }
        // A guest that waits no longer has answered already, or failed.
        let _ = answer.send(response);
        let came = exchange.response.as_ref().map(|response| response.status);
        match handling.await.and_then(|response| is_final(response, came)) {
            Ok(response) => {
                let (made, body) = Outbound::over(response, hold, &exchange.request.method).into_parts();
                if let Some(parts) = &mut exchange.response {
                    (parts.status, parts.headers) = (made.status, made.headers);
                }
                exchange.message = body;
                Ok(())
            }
            Err(fault) => Err(given_back(fault, &source, exchange)),
        }
    }
}

impl Filter for Middleware {
    fn name(&self) -> &str {
        &self.0.env.name
    }

    fn interest(&self) -> Interest {
        Interest {
            phases: Phases::default().with(Phase::RequestHeaders).with(Phase::ResponseHeaders),
            takes_bodies: true,
            ..Interest::default()
        }
    }

    fn on_error(&self) -> OnError {
        self.0.env.on_error
    }

    async fn call(&self, phase: Phase, exchange: &mut Exchange) -> Outcome {
        let worker = exchange.client.worker;
        let called = match phase {
            Phase::RequestHeaders => self.request(exchange).await,
            Phase::ResponseHeaders => self.response(exchange).await.map(|()| false),
            _ => Ok(false),
        };
        self.0.env.metrics.call(worker, phase as usize, exchange.lap());
        self.0.env.outcome(called, exchange)
    }
}

/// A middleware's configuration is its environment: the world has nothing else that could tell it something.
///
/// # Errors
/// JSON pointers to what cannot be an environment variable, and why.
fn environment(config: &str) -> Result<BTreeMap<String, String>, Vec<(String, String)>> {
    let variables = match serde_json::from_str(config) {
        Ok(Value::Null) | Err(_) => return Ok(BTreeMap::new()),
        Ok(Value::Object(variables)) => variables,
        Ok(_) => {
            let what = "the configuration of a middleware is its environment: a map, as in `{ REGION: north }`";
            return Err(vec![(String::new(), what.to_owned())]);
        }
    };
    let (mut environment, mut wrong) = (BTreeMap::new(), Vec::new());
    for (name, value) in variables {
        let at = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        let text = match value {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(is) => Some(is.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        match text {
            _ if name.is_empty() || name.contains(['=', '\0']) => {
                wrong.push((at, "no environment variable has this name".to_owned()));
            }
            Some(text) => drop(environment.insert(name, text)),
            None => wrong.push((at, "an environment variable is a text, a number, true or false".to_owned())),
        }
    }
    if wrong.is_empty() { Ok(environment) } else { Err(wrong) }
}

/// The request as the guest gets it: its target in absolute form.
fn request(state: &State, body: WasiBody) -> Request<WasiBody> {
    let mut request = Request::new(body);
    let mut uri = state.request.uri.clone().into_parts();
    uri.scheme = Some(if state.client.secure { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = state.host().parse::<Authority>().ok().or(Some(Authority::from_static("localhost")));
    uri.path_and_query.get_or_insert_with(|| http::uri::PathAndQuery::from_static("/"));
    if let Ok(uri) = Uri::from_parts(uri) {
        *request.uri_mut() = uri;
    }
    *request.method_mut() = state.request.method.clone();
    *request.headers_mut() = state.request.headers.clone();
    request
}

/// The request goes on as the guest has made it.
fn hand_on(state: &mut State, request: Request<WasiBody>, call: &Arc<Call>) {
    let (parts, body) = request.into_parts();
    let call = call.clone();
    state.message = Sent::over(body, move || call.goes_on());
    let uri = parts.uri.into_parts();
    let path = uri.path_and_query.map(Uri::from).unwrap_or_default();
    if path != state.request.uri {
        state.set_target(path);
    }
    let host = uri.authority.and_then(|host| HeaderValue::try_from(host.as_str()).ok());
    let host = host.or_else(|| state.request.headers.get(HOST).cloned());
    state.request.method = parts.method;
    state.request.headers = parts.headers;
    if let Some(host) = host {
        state.request.headers.insert(HOST, host);
    }
}

/// The guest failed: the message goes on as it came, where its body is whole.
fn given_back(fault: Fault, source: &Source, exchange: &mut Exchange) -> Fault {
    match source.take_back() {
        Some(body) => exchange.message = body,
        None => {
            exchange.message = Body::Empty;
            exchange.broken = Some(BodyError::Ended);
        }
    }
    fault
}
