//! One request through one plugin, from the first phase to the last.

use std::time::Duration;

use super::message::{Request, Response};
use super::state::{State, with};
use crate::bindings::gofe::plugin::types::{BodyPolicy, Interest};
use crate::{Field, Overflow, Phases, Plugin, RetryPolicy, guest};

/// A configured plugin.
#[derive(Debug)]
pub struct Loaded<P> {
    /// The plugin itself.
    pub plugin: P,
    /// What it told the proxy about its phases and body policies.
    pub interest: Interest,
}

impl<P: Plugin> Loaded<P> {
    /// Sends a request through all phases. The upstream answers with an empty 200.
    pub fn send(&self, request: Request) -> Exchange {
        self.send_to(request, |_| Response::new(200))
    }

    /// Sends a request through all phases. `upstream` gets it as the plugin left it, and answers.
    pub fn send_to(&self, request: Request, upstream: impl FnOnce(&Sent) -> Response) -> Exchange {
        begin(request);
        self.request_phases();
        let sent = (!ended()).then(sent);
        let own = with(|state| state.reply.clone());
        let response = match (&sent, own) {
            (Some(sent), _) => upstream(sent),
            (None, Some((status, headers, body))) => Response { status, headers, body },
            (None, None) => Response::new(500),
        };
        with(|state| state.begin_response(response));
        // A plugin does not see its own answer in the response phases; those before it do.
        if sent.is_some() {
            self.response_phases();
        }
        self.call(Phases::COMPLETE, guest::complete);
        with(|state| finish(state, sent))
    }

    /// Runs the timer once.
    pub fn tick(&self) {
        with(|state| (state.request, state.response) = (None, None));
        self.call(Phases::TICK, P::tick);
    }

    fn request_phases(&self) {
        with(|state| state.request_open = true);
        self.call(Phases::REQUEST_HEADERS, guest::request_headers);
        let buffered = matches!(self.interest.request_body, BodyPolicy::Buffer(_));
        with(|state| state.request_open = buffered && !state.ended());
        let (body, chunk) = with(|state| state.request.as_ref().map_or((Vec::new(), 1), |r| (r.body.clone(), r.chunk)));
        let run = |last| self.call(Phases::REQUEST_BODY, |plugin| guest::request_body(plugin, last));
        if let Some(body) = Self::body(&self.interest.request_body, &body, chunk, 413, run) {
            with(|state| state.request.iter_mut().for_each(|request| request.body.clone_from(&body)));
        }
        with(|state| state.request_open = false);
    }

    fn response_phases(&self) {
        with(|state| state.response_open = true);
        self.call(Phases::RESPONSE_HEADERS, guest::response_headers);
        let buffered = matches!(self.interest.response_body, BodyPolicy::Buffer(_));
        with(|state| state.response_open = buffered && !state.ended());
        let body = with(|state| state.response.as_ref().map_or(Vec::new(), |response| response.body.clone()));
        let run = |last| self.call(Phases::RESPONSE_BODY, |plugin| guest::response_body(plugin, last));
        if let Some(body) = Self::body(&self.interest.response_body, &body, usize::MAX, 502, run) {
            with(|state| state.response.iter_mut().for_each(|response| response.body.clone_from(&body)));
        }
        with(State::replace_response);
    }

    /// Runs a body phase as its policy says, and gives the body that comes out. A body that overflows the buffer ends
    /// the request with the status `too_long`, where the policy says so.
    fn body(policy: &BodyPolicy, body: &[u8], chunk: usize, too_long: u16, run: impl Fn(bool)) -> Option<Vec<u8>> {
        let chunk = match policy {
            _ if ended() => return None,
            BodyPolicy::None => return None,
            BodyPolicy::Buffer(buffer) if body.len() as u64 > buffer.limit => {
                if buffer.overflow == Overflow::Reject {
                    with(|state| state.reply = Some((too_long, Vec::new(), Vec::new())));
                }
                return None;
            }
            BodyPolicy::Buffer(_) => usize::MAX,
            BodyPolicy::Stream => chunk,
        };
        let mut out = Vec::new();
        let mut rest = body;
        loop {
            let (now, behind) = rest.split_at(chunk.min(rest.len()));
            with(|state| state.body = now.to_vec());
            run(behind.is_empty());
            out.extend(with(|state| std::mem::take(&mut state.body)));
            rest = behind;
            if rest.is_empty() || ended() {
                return Some(out);
            }
        }
    }

    fn call(&self, phase: Phases, run: impl FnOnce(&P)) {
        if self.interest.phases.contains(phase) && (phase == Phases::COMPLETE || !ended()) {
            with(|state| state.phase = phase);
            run(&self.plugin);
            with(|state| state.phase = Phases::empty());
        }
    }
}

impl State {
    fn ended(&self) -> bool {
        self.reply.is_some() || self.failure.is_some()
    }

    /// The response begins, with the fields that the plugin has prepared.
    fn begin_response(&mut self, mut response: Response) {
        response.headers.retain(|(name, _)| self.prepared.iter().all(|(prepared, _)| prepared != name));
        response.headers.append(&mut self.prepared.clone());
        self.response = Some(response);
    }

    /// Puts the plugin's answer from a response phase in the place of the upstream's.
    fn replace_response(&mut self) {
        self.response_open = false;
        if let Some((status, headers, body)) = self.reply.clone() {
            self.begin_response(Response { status, headers, body });
        }
        if self.failure.is_some() {
            self.begin_response(Response::new(500));
        }
    }
}

fn ended() -> bool {
    with(|state| state.ended())
}

fn begin(request: Request) {
    with(|state| {
        state.attributes = request.attributes.iter().cloned().collect();
        state.summary = request.summary.clone();
        state.prepared.clone_from(&request.prepared);
        state.request = Some(request);
        state.response = None;
        state.reply = None;
        state.failure = None;
        state.upstream = None;
        state.subset = Vec::new();
        state.original_target = None;
    });
}

fn sent() -> Sent {
    with(|state| Sent {
        request: state.request.clone().unwrap_or_else(|| Request::get("/")),
        upstream: state.upstream.clone(),
        subset: state.subset.clone(),
    })
}

fn finish(state: &mut State, sent: Option<Sent>) -> Exchange {
    Exchange {
        sent,
        received: Received(state.response.take().unwrap_or_else(|| Response::new(500))),
        failure: state.failure.take(),
        attributes: std::mem::take(&mut state.attributes).into_iter().collect(),
    }
}

/// What came of a request.
#[derive(Debug, Clone)]
pub struct Exchange {
    sent: Option<Sent>,
    received: Received,
    failure: Option<String>,
    attributes: Vec<Field>,
}

impl Exchange {
    /// The request as the upstream got it; nothing where the plugin ended it.
    #[must_use]
    pub fn upstream_request(&self) -> Option<&Sent> {
        self.sent.as_ref()
    }

    /// The response as the client got it. A plugin that fails gives 500, as fail-closed does.
    #[must_use]
    pub fn response(&self) -> &Received {
        &self.received
    }

    /// Why the plugin failed, where it did.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// An attribute as it was in the end, where it is UTF-8.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        text(&self.attributes, name)
    }
}

/// A request as the upstream got it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    request: Request,
    upstream: Option<String>,
    subset: Vec<(String, String)>,
}

impl Sent {
    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.request.method
    }

    /// The authority.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.request.authority
    }

    /// Path and query.
    #[must_use]
    pub fn path_with_query(&self) -> &str {
        &self.request.target
    }

    /// The first value of a header field, where it is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        text(&self.request.headers, name)
    }

    /// All header fields.
    #[must_use]
    pub fn headers(&self) -> &[Field] {
        &self.request.headers
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.request.body
    }

    /// The upstream that the plugin chose.
    #[must_use]
    pub fn upstream(&self) -> Option<&str> {
        self.upstream.as_deref()
    }

    /// The key to hash that the plugin chose.
    #[must_use]
    pub fn hash_key(&self) -> Option<&str> {
        self.request.hash_key.as_deref()
    }

    /// How long the response's headers may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.request.timeout
    }

    /// What is done with a failed try.
    #[must_use]
    pub fn retry(&self) -> Option<RetryPolicy> {
        self.request.retry
    }

    /// The labels of the subset that the plugin chose.
    #[must_use]
    pub fn subset(&self) -> &[(String, String)] {
        &self.subset
    }
}

/// A response as the client got it.
#[derive(Debug, Clone, PartialEq)]
pub struct Received(Response);

impl Received {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// The first value of a header field, where it is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        text(&self.0.headers, name)
    }

    /// All header fields.
    #[must_use]
    pub fn headers(&self) -> &[Field] {
        &self.0.headers
    }

    /// The body, as text. Bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn body(&self) -> String {
        String::from_utf8_lossy(&self.0.body).into_owned()
    }
}

fn text<'a>(fields: &'a [Field], name: &str) -> Option<&'a str> {
    let (_, value) = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value).ok()
}
