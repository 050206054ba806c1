//! The life of a request: admit, pin, route, request phases, upstream, response phases, response.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, Method, Request, Response, StatusCode, response};
use tokio::time::timeout_at;

use super::admit::{admit, early};
use super::flight::{Ending, Flight};
use super::grpc::refusal;
use super::meter::{Meter, Pace};
use super::mirror::mirror;
use super::rescue::{Refusal, Trouble, rescue};
use super::treatment::chosen;
use super::upgrade::allowed;
use super::watch::Watch;
use super::worker::Worker;
use crate::chain::{Client, Exchange, Phase, Pumped, Reply, Routing, State, Verdict};
use crate::http::edge::identify;
use crate::http::grpc::Call;
use crate::http::upgrade::{Switched, Wish};
use crate::http::{Body, BodyError, hop};
use crate::route::Origin;
use crate::snapshot::{Action, Pin, Upstream};
use crate::upstream::{self, Ends, Events, Hint};

/// What answers a request: an upstream, or gofe and its plugins.
pub(super) enum Answer {
    Upstream(Response<Body>),
    Reply(Reply),
}

/// Serves one request.
pub(super) async fn handle(
    worker: Arc<Worker>,
    client: Arc<Client>,
    watch: Arc<Watch>,
    request: Request<Body>,
) -> Result<Response<Body>, Infallible> {
    let started = Instant::now();
    watch.begin();
    let (mut parts, body) = request.into_parts();
    let client = match &client.trusted {
        None => client,
        Some(_) => client.behind(&parts.headers).map_or(client, Arc::new),
    };
    let version = parts.version;
    let pin = worker.pinner.pin();
    let wish = Wish::take(&mut parts);
    let mut admitted = admit(&mut parts, pin.config().limits.header_count, &watch.host);
    if client.is_early() {
        admitted = admitted.and_then(|()| early(&mut parts, wish.is_some()));
    }
    if let Some(answers) = &pin.answers
        && let Some(text) = answers.text(parts.uri.path()).filter(|_| client.tls.is_none())
    {
        watch.end(started);
        return Ok(plain(Reply { body: Body::full(text), ..Reply::plain(StatusCode::OK) }));
    }
    if admitted.is_ok()
        && let Some((status, headers)) =
            client.edge.as_ref().filter(|_| !client.secure).and_then(|e| e.redirect(&parts.headers, &parts.uri))
    {
        watch.end(started);
        worker.metrics.redirected(worker.index);
        return Ok(plain(Reply { headers, ..Reply::plain(status) }));
    }
    if !pin.identities.is_empty() {
        let identity = client.tls.as_ref().and_then(|tls| tls.identity.as_ref());
        identify(&mut parts.headers, &pin.identities, identity);
    }
    let found = admitted.map_err(Trouble::Refused).and_then(|()| {
        let table = pin.table(client.listener);
        let found = table.find_request(&parts, origin(&client)).map_err(|_| Refusal::AmbiguousPath)?;
        let found = found.ok_or(Trouble::NoRoute)?;
        Ok((found, wish.map_or(Ok(None), |wish| allowed(wish, &pin.routes[found], &body))?))
    });
    let (index, wish) = match found {
        Ok(found) => found,
        Err(trouble) => {
            watch.end(started);
            worker.metrics.error(worker.index, trouble.reason());
            let mut response = refusal(&parts, plain(rescue(&trouble, version, "")));
            harden(&client, response.headers_mut());
            return Ok(response);
        }
    };
    let name = pin.routes[index].name.clone();
    let call = Call::of(&parts);
    let mut state = State::new(parts, client, name, pin.clone(), started);
    state.timeout = pin.routes[index].timeout;
    let mut flight = Flight::new(worker, pin, index, Exchange::new(state), watch, started);
    flight.wish = wish;
    let body = match call {
        None => body,
        Some(call) => flight.called(call, body).await,
    };
    Ok(flight.run(body).await)
}

impl Flight {
    async fn run(mut self, body: Body) -> Response<Body> {
        let mut timeout = self.timeout();
        let mut deadline = (self.started() + timeout).into();
        // Pinned here, as moving a future costs as much as its size.
        let answered = timeout_at(deadline, pin!(self.answer(body))).await;
        let answer = match answered {
            Ok(Ok(Some(answer))) => answer,
            Ok(Ok(None)) => {
                timeout = self.chosen_timeout().await;
                deadline = (self.started() + timeout).into();
                // Boxed, as few plugins choose a time.
                Box::pin(self.answer_within(timeout)).await
            }
            Ok(Err(trouble)) => Answer::Reply(self.rescue(&trouble).await),
            Err(_) => self.late(timeout).await,
        };
        let responded = if self.route().chain.takes_bodies() {
            // Boxed, as the body phases below are: a step may wait for the body.
            let responded = Box::pin(timeout_at(deadline, self.respond(answer))).await;
            responded.unwrap_or(Err(Trouble::Timeout(timeout)))
        } else {
            self.respond(answer).await
        };
        let body = match responded {
            Ok(body) => body,
            Err(trouble) => self.replace(&trouble).await,
        };
        let body = if self.route().chain.touches_body(Phase::ResponseBody) {
            // Boxed, as few chains look at bodies and all requests would be larger for it.
            match Box::pin(timeout_at(deadline, self.response_body(body))).await {
                Ok(Ok(body)) => body,
                Ok(Err(trouble)) => self.replace(&trouble).await,
                Err(_) => self.replace(&Trouble::Timeout(timeout)).await,
            }
        } else {
            body
        };
        let mut parts = self.take_response().await;
        self.status = parts.status.as_u16();
        if let Some(upstream) = self.switched.take().filter(|_| parts.status == StatusCode::SWITCHING_PROTOCOLS) {
            return self.switch(parts, upstream);
        }
        let body = self.answer_call(&mut parts, body);
        Response::from_parts(parts, Body::layered(Ending::new(body, self)))
    }

    /// The request phases, and the upstream; nothing where the upstream shall answer within another time, which a plugin
    /// chose. Then the body is in the exchange.
    async fn answer(&mut self, body: Body) -> Result<Option<Answer>, Trouble> {
        // What belongs to the worker is counted, and not what all workers share.
        let pin = self.pin.clone();
        let chain = &pin.routes[self.route].chain;
        let mut body = self.meter(body).await?;
        {
            let mut exchange = self.hand.lock().await;
            exchange.body_end = http_body::Body::is_end_stream(&body);
            if chain.takes_bodies() {
                exchange.message = body;
                body = Body::Empty;
            }
            match (chain.request_headers(&mut exchange).await, exchange.broken.take()) {
                (_, Some(error)) => return Err(Trouble::Body(error)),
                (Verdict::Reply(reply), None) => return Ok(Some(Answer::Reply(reply))),
                (Verdict::Continue, None) if chain.takes_bodies() => body = std::mem::take(&mut exchange.message),
                (Verdict::Continue, None) => {}
            }
        }
        // Boxed, as few routes do anything of it.
        if self.route().treatment.is_some()
            && let Some(reply) = Box::pin(self.treat()).await?
        {
            return Ok(Some(Answer::Reply(reply)));
        }
        if let Some(reply) = self.route().action.reply() {
            return Ok(Some(Answer::Reply(reply)));
        }
        let body = if chain.touches_body(Phase::RequestBody) && self.wish.is_none() {
            match Box::pin(chain.pump(Phase::RequestBody, &mut self.hand, body)).await.map_err(Trouble::Body)? {
                Pumped::Body(body) => body,
                Pumped::Reply(reply) => return Ok(Some(Answer::Reply(reply))),
            }
        } else {
            body
        };
        let timeout = self.timeout();
        if self.chosen_timeout().await != timeout {
            self.hand.lock().await.message = body;
            return Ok(None);
        }
        self.forward(body).await.map(Some)
    }

    /// Lets the upstream answer, or what the route has in its place.
    pub(super) async fn forward(&mut self, body: Body) -> Result<Answer, Trouble> {
        match self.route().treatment.as_ref().is_some_and(|treatment| treatment.fallback.is_some()) {
            false => self.send(body).await,
            true => Box::pin(self.send_or_fall_back(body)).await,
        }
    }

    /// Puts the body under its limits; one that says at once that it is too long is refused at once.
    async fn meter(&mut self, body: Body) -> Result<Body, Trouble> {
        let limit = self.route().body_size;
        if http_body::Body::size_hint(&body).lower() > limit {
            return Err(Trouble::Body(BodyError::TooLarge(limit)));
        }
        if matches!(body, Body::Empty) {
            return Ok(body);
        }
        let bytes = Arc::new(AtomicU64::new(0));
        let mut exchange = self.hand.lock().await;
        exchange.summary.request_bytes = Some(bytes.clone());
        let pace = Pace::new(self.pin.config(), &exchange.request.headers);
        drop(exchange);
        Ok(Body::layered(Meter::new(body, limit, pace, bytes, self.watch.upload())))
    }

    /// Sends the request to its upstream.
    pub(super) async fn send(&mut self, body: Body) -> Result<Answer, Trouble> {
        let pin = self.pin.clone();
        let chain = &pin.routes[self.route].chain;
        let mut exchange = self.hand.lock().await;
        let mut routing = std::mem::take(&mut exchange.routing);
        let upstream = upstream(&pin, self.route, &mut routing, &mut exchange)?;
        exchange.request_open = false;
        let key = upstream.cluster.key(routing.hash_key.as_deref(), |name| exchange.attributes.get(name));
        let body_changes = chain.changes_length(Phase::RequestBody);
        let treatment = pin.routes[self.route].treatment.as_deref();
        let keep = chain.looks_back() || treatment.is_some_and(|treatment| treatment.looks_back);
        let mut request = outgoing(&mut exchange, body, keep, body_changes);
        if let Some(treatment) = treatment {
            if treatment.prepares() {
                let client = keep.then_some(&exchange.request.headers);
                treatment.prepare(&exchange, client, &mut request)?;
            }
            if let Some(copied) = treatment.mirror.as_ref().filter(|_| self.wish.is_none()) {
                mirror(copied, self.worker.index, pin.routes[self.route].timeout, &mut request);
            }
        }
        let (address, timeout) = (exchange.client.address, exchange.timeout);
        drop(exchange);
        self.ask(upstream, &mut request)?;
        let sending = &pin.routes[self.route].sending;
        let configured = upstream.cluster.retry(sending);
        let chosen = routing.retry.map(|chosen| Box::new(chosen.map(|retrying| retrying.over(configured))));
        let begun = Instant::now();
        let call = upstream::Call {
            begun,
            worker: self.worker.index,
            hint: Hint { subset: &routing.subset, client: Some(address.ip()), key },
            ends: Some(Ends { client: address, local: None }),
            deadline: self.started() + self.within_call(timeout),
            sending,
            retry: chosen.as_deref().map_or(configured, Option::as_ref),
            events: Events { worker: self.worker.index, metrics: Some(&upstream.metrics) },
        };
        let sent = upstream.cluster.dispatch(call, request).await;
        let took = begun.elapsed();
        let mut exchange = self.hand.lock().await;
        exchange.summary.upstream_duration = Some(took);
        match sent {
            Ok(sent) => {
                upstream.metrics.response(self.worker.index, sent.response.status().as_u16(), took);
                exchange.summary.upstream = Some((upstream.name.clone(), sent.endpoint));
                Ok(Answer::Upstream(sent.response))
            }
            Err(error) => {
                upstream.metrics.failure(self.worker.index, error.kind(), took);
                // A plugin may have answered while the body went through it: then that is why it broke off.
                match exchange.reply.take() {
                    Some(reply) => Ok(Answer::Reply(reply)),
                    None => Err(Trouble::Upstream(error)),
                }
            }
        }
    }

    /// What gofe itself answers.
    pub(super) async fn rescue(&mut self, trouble: &Trouble) -> Reply {
        self.worker.metrics.error(self.worker.index, trouble.reason());
        let mut exchange = self.hand.lock().await;
        exchange.summary.error = Some(trouble.reason());
        rescue(trouble, exchange.request.version, &exchange.route)
    }

    /// The response begins; its body is given back.
    async fn begin_response(&mut self, answer: Answer) -> Body {
        match answer {
            Answer::Reply(reply) => {
                self.answers();
                self.hand.lock().await.set_response(reply)
            }
            Answer::Upstream(response) => {
                let (mut parts, body) = response.into_parts();
                if parts.status == StatusCode::SWITCHING_PROTOCOLS {
                    let switched = parts.extensions.remove::<Switched>();
                    self.switched = switched.and_then(|switched| switched.take());
                }
                hop::strip_response(&mut parts.headers);
                hop::via(&mut parts.headers, parts.version);
                self.hand.lock().await.begin_response(parts);
                body
            }
        }
    }

    /// The response-header phases.
    async fn respond(&mut self, answer: Answer) -> Result<Body, Trouble> {
        let pin = self.pin.clone();
        let chain = &pin.routes[self.route].chain;
        let body = self.begin_response(answer).await;
        let mut exchange = self.hand.lock().await;
        exchange.body_end = http_body::Body::is_end_stream(&body);
        exchange.message = body;
        let replaced = chain.response_headers(&mut exchange).await;
        if let Some(error) = exchange.broken.take() {
            return Err(Trouble::ResponseBody(error));
        }
        let body = std::mem::take(&mut exchange.message);
        drop(exchange);
        if replaced {
            self.answers();
            self.switched = None;
        }
        Ok(body)
    }

    /// The response-body phases.
    async fn response_body(&mut self, body: Body) -> Result<Body, Trouble> {
        let pin = self.pin.clone();
        let chain = &pin.routes[self.route].chain;
        if !self.has_body().await {
            return Ok(body);
        }
        match chain.pump(Phase::ResponseBody, &mut self.hand, body).await.map_err(Trouble::ResponseBody)? {
            Pumped::Body(body) => Ok(body),
            Pumped::Reply(reply) => {
                self.answers();
                Ok(self.hand.lock().await.set_response(reply))
            }
        }
    }

    /// Whether the response may have a body at all (RFC 9110, section 6.4.1); where it has, and plugins may change it,
    /// its length is not what the upstream said.
    async fn has_body(&mut self) -> bool {
        let changes_length = self.route().chain.changes_length(Phase::ResponseBody);
        let mut exchange = self.hand.lock().await;
        let head = exchange.request.method == Method::HEAD;
        let Some(response) = &mut exchange.response else { return false };
        let none = [StatusCode::SWITCHING_PROTOCOLS, StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        let has = !head && !none.contains(&response.status);
        if has && changes_length {
            response.headers.remove(CONTENT_LENGTH);
        }
        has
    }

    /// An error in the place of the response that the phases have seen already.
    async fn replace(&mut self, trouble: &Trouble) -> Body {
        let reply = self.rescue(trouble).await;
        self.answers();
        self.hand.lock().await.set_response(reply)
    }

    /// The response's head: a copy where plugins look at it when the request is over.
    async fn take_response(&mut self) -> response::Parts {
        let keeps = self.route().chain.takes(Phase::Complete);
        let mut exchange = self.hand.lock().await;
        exchange.response_open = false;
        if let Some(treatment) = self.pin.routes[self.route].treatment.as_deref() {
            treatment.finish(&mut exchange);
        }
        if !keeps && let Some(mut parts) = exchange.response.take() {
            harden(&exchange.client, &mut parts.headers);
            return parts;
        }
        let (mut parts, ()) = Response::new(()).into_parts();
        if let Some(response) = &exchange.response {
            parts.status = response.status;
            parts.headers = response.headers.clone();
        }
        harden(&exchange.client, &mut parts.headers);
        parts
    }
}

/// What routes may ask of the client's connection.
fn origin(client: &Client) -> Origin<'_> {
    let server_name = client.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
    Origin { address: client.address.ip().to_canonical(), server_name }
}

/// Says what the client's listener says in every response.
fn harden(client: &Client, headers: &mut HeaderMap) {
    if let Some(edge) = &client.edge {
        edge.harden(headers);
    }
}

/// The upstream that a plugin chose, or the route's.
fn upstream<'a>(pin: &'a Pin, route: usize, routing: &mut Routing, state: &mut State) -> Result<&'a Upstream, Trouble> {
    let found = match (&routing.upstream, &pin.routes[route].action) {
        (Some(name), _) => pin.upstream(name),
        (None, Action::Upstream(upstream)) => Some(upstream),
        (None, Action::Split(split)) => chosen(split, state, &mut routing.subset),
        (None, Action::Respond(_) | Action::Redirect(_)) => None,
    };
    found.ok_or_else(|| Trouble::NoUpstream(routing.upstream.as_deref().unwrap_or_default().to_owned()))
}

/// The request as the upstream gets it. Where nobody looks at the client's fields later, they are moved and not copied.
fn outgoing(exchange: &mut State, body: Body, keep: bool, body_changes: bool) -> Box<Request<Body>> {
    let version = exchange.request.version;
    let mut headers: HeaderMap =
        if keep { exchange.request.headers.clone() } else { std::mem::take(&mut exchange.request.headers) };
    hop::strip_request(&mut headers);
    exchange.client.peer.forward(&mut headers, version);
    // The client's expectation is met here: reading its body makes hyper send 100 (Continue).
    headers.remove(EXPECT);
    if body_changes {
        headers.remove(CONTENT_LENGTH);
    }
    let mut request = Box::new(Request::new(body));
    *request.method_mut() = exchange.request.method.clone();
    *request.uri_mut() = exchange.request.uri.clone();
    *request.headers_mut() = headers;
    request
}

/// A reply to a request that belongs to no route.
fn plain(reply: Reply) -> Response<Body> {
    let mut response = Response::new(reply.body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}
