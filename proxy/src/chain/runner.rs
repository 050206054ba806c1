//! The runner: calls the steps of a chain in their order and applies the failure policy.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tracing::warn;

use super::{BodyPolicy, Exchange, Fault, Filter, Interest, Outcome, Phase, Reply, Shared, SharedGuard};
use crate::config::OnError;
use crate::http::Body;
use crate::telemetry::Throttle;

/// The most steps of a chain: [`super::State::disabled`] has a bit for each.
pub const MAX_STEPS: usize = 64;

/// An ordered chain of filters.
pub struct Chain<F> {
    name: String,
    steps: Vec<Arc<F>>,
    /// For each step, how often its failures are logged.
    failures: Vec<Throttle>,
    /// The steps that take part in each phase, in the order of the calls, so that a phase that nobody asked for
    /// costs one look at an empty list.
    by_phase: [Box<[u8]>; Phase::ALL.len()],
    plans: [BodyPlan; 2],
    takes_bodies: bool,
    /// Whether bodies may get another length than their headers say, for each direction.
    changes_length: [bool; 2],
}

/// What the steps of a chain together need of the bodies in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum BodyPlan {
    /// The body passes by.
    #[default]
    Pass,
    /// Chunk by chunk.
    Stream,
    /// All of it, up to the largest limit of a step.
    Buffer(u64),
}

/// How the request phases ended.
#[derive(Debug)]
pub enum Verdict {
    /// The request goes on.
    Continue,
    /// This is the answer.
    Reply(Reply),
}

/// The exchange as the request path holds it: its own, or shared with a body that is being pumped.
pub enum Hand {
    /// Nobody else works on it.
    Own(Exchange),
    /// A body pump works on it too.
    Shared(Shared),
}

/// Access to the exchange in a [`Hand`].
pub enum HandGuard<'a> {
    /// Nobody else works on it.
    Own(&'a mut Exchange),
    /// Pumps wait while this lives.
    Shared(SharedGuard<'a>),
}

impl Hand {
    /// Waits until no pump works on the exchange.
    pub async fn lock(&mut self) -> HandGuard<'_> {
        match self {
            Self::Own(exchange) => HandGuard::Own(exchange),
            Self::Shared(shared) => HandGuard::Shared(shared.lock().await),
        }
    }

    /// No exchange: what is left behind where one is taken away.
    pub fn empty() -> Self {
        Self::Own(Exchange::lent())
    }

    /// Makes the exchange shared, if it is not yet.
    pub(super) fn share(&mut self) -> Shared {
        let shared = match std::mem::replace(self, Self::empty()) {
            Self::Own(exchange) => Shared::new(exchange),
            Self::Shared(shared) => shared,
        };
        *self = Self::Shared(shared.clone());
        shared
    }
}

impl std::ops::Deref for HandGuard<'_> {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        match self {
            Self::Own(exchange) => exchange,
            Self::Shared(guard) => guard,
        }
    }
}

impl std::ops::DerefMut for HandGuard<'_> {
    fn deref_mut(&mut self) -> &mut Exchange {
        match self {
            Self::Own(exchange) => exchange,
            Self::Shared(guard) => guard,
        }
    }
}

impl Reply {
    /// An answer of the proxy itself: a status and its name, nothing about what happened inside.
    pub fn plain(status: StatusCode) -> Self {
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
        let body = Body::full(format!("{} {}\n", status.as_u16(), status.canonical_reason().unwrap_or("error")));
        Self { status, headers, body }
    }
}

impl<F: Filter> Chain<F> {
    /// A chain of these steps, at most [`MAX_STEPS`].
    pub fn new(name: impl Into<String>, steps: Vec<Arc<F>>) -> Self {
        debug_assert!(steps.len() <= MAX_STEPS, "the configuration refuses longer chains");
        let interests: Vec<Interest> = steps.iter().map(|step| step.interest()).collect();
        let by_phase = Phase::ALL.map(|phase| {
            let taking = (0u8..).zip(&interests).filter(|(_, i)| i.phases.has(phase)).map(|(at, _)| at);
            let mut taking: Vec<u8> = taking.collect();
            if matches!(phase, Phase::ResponseHeaders | Phase::ResponseBody) {
                taking.reverse();
            }
            taking.into_boxed_slice()
        });
        let plans = [plan(&interests, Phase::RequestBody), plan(&interests, Phase::ResponseBody)];
        let failures = steps.iter().map(|_| Throttle::default()).collect();
        let takes_bodies = interests.iter().any(|interest| interest.takes_bodies);
        let changes_length = [Phase::RequestBody, Phase::ResponseBody].map(|phase| {
            let policies = interests.iter().filter(|i| i.phases.has(phase)).map(|i| policy(i, phase));
            policies.into_iter().any(|policy| matches!(policy, BodyPolicy::Stream | BodyPolicy::Buffer { .. }))
        });
        Self { name: name.into(), steps, failures, by_phase, plans, changes_length, takes_bodies }
    }

    /// The chain's name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The steps.
    pub fn steps(&self) -> &[Arc<F>] {
        &self.steps
    }

    pub(super) fn plan(&self, phase: Phase) -> BodyPlan {
        self.plans[usize::from(phase == Phase::ResponseBody)]
    }

    /// Whether a step takes part in this phase.
    pub fn takes(&self, phase: Phase) -> bool {
        !self.by_phase[phase as usize].is_empty()
    }

    /// Whether a step holds bodies itself in its header phases.
    pub fn takes_bodies(&self) -> bool {
        self.takes_bodies
    }

    /// Whether a step may look at the request after it was sent.
    pub fn looks_back(&self) -> bool {
        [Phase::ResponseHeaders, Phase::ResponseBody, Phase::Complete].into_iter().any(|phase| self.takes(phase))
            || self.plan(Phase::RequestBody) == BodyPlan::Stream
    }

    /// Whether a step looks at bodies in this phase, so that their length may change.
    pub fn touches_body(&self, phase: Phase) -> bool {
        self.plan(phase) != BodyPlan::Pass
    }

    /// Whether the body of this phase may get another length than its headers say. Where no step does that behind the
    /// headers' back, a message without a body is not shown to the steps either.
    pub fn changes_length(&self, phase: Phase) -> bool {
        self.changes_length[usize::from(phase == Phase::ResponseBody)]
    }

    /// The request-header phases, in order.
    pub async fn request_headers(&self, exchange: &mut Exchange) -> Verdict {
        for &at in self.begin(Phase::RequestHeaders, exchange) {
            exchange.reached = usize::from(at);
            if self.step(at, Phase::RequestHeaders, exchange).await
                && let Some(reply) = exchange.reply.take()
            {
                exchange.request_open = false;
                return Verdict::Reply(reply);
            }
        }
        exchange.reached = self.steps.len();
        Verdict::Continue
    }

    /// The response-header phases, in reverse order, of the steps that saw the request go on. The response's body is in the
    /// exchange, and what is there afterwards goes on. True where a plugin's answer took the response's place.
    pub async fn response_headers(&self, exchange: &mut Exchange) -> bool {
        exchange.request_open = false;
        exchange.response_open = true;
        let mut replaced = false;
        for &at in self.begin(Phase::ResponseHeaders, exchange) {
            if usize::from(at) < exchange.reached
                && self.step(at, Phase::ResponseHeaders, exchange).await
                && let Some(reply) = exchange.reply.take()
            {
                exchange.message = exchange.set_response(reply);
                replaced = true;
            }
        }
        replaced
    }

    /// The request is over: the steps that saw it learn so.
    pub async fn complete(&self, exchange: &mut Exchange) {
        exchange.request_open = false;
        exchange.response_open = false;
        for &at in self.begin(Phase::Complete, exchange) {
            if usize::from(at) <= exchange.reached {
                self.step(at, Phase::Complete, exchange).await;
            }
        }
    }

    /// One chunk of a body, or all of it, through the steps that take part. `None` where a step ended the request;
    /// its answer is then in the exchange.
    pub(super) async fn body(&self, phase: Phase, exchange: &mut Exchange, chunk: Chunk) -> Option<Bytes> {
        let mut bytes = chunk.bytes;
        for &at in self.begin(phase, exchange) {
            // As with its headers, a step does not see the body of a response to a request that it did not let go on.
            let let_go = phase != Phase::ResponseBody || usize::from(at) < exchange.reached;
            if !let_go || !self.sees(at, phase, &chunk.kind, bytes.len() as u64) {
                continue;
            }
            exchange.body = bytes;
            exchange.body_end = chunk.end;
            let respond = self.step(at, phase, exchange).await;
            bytes = std::mem::take(&mut exchange.body);
            if respond {
                return None;
            }
        }
        Some(bytes)
    }

    fn sees(&self, at: u8, phase: Phase, kind: &ChunkKind, length: u64) -> bool {
        match (self.policy(at, phase), kind) {
            (BodyPolicy::None, _) | (BodyPolicy::Buffer { .. }, ChunkKind::Part) => false,
            (BodyPolicy::Stream | BodyPolicy::Framed, _) => true,
            (BodyPolicy::Buffer { limit, .. }, ChunkKind::Whole) => length <= limit,
        }
    }

    pub(super) fn policy(&self, at: u8, phase: Phase) -> BodyPolicy {
        policy(&self.steps[usize::from(at)].interest(), phase)
    }

    pub(super) fn taking(&self, phase: Phase) -> &[u8] {
        &self.by_phase[phase as usize]
    }

    /// The steps that take part in a phase that begins now.
    fn begin(&self, phase: Phase, exchange: &mut Exchange) -> &[u8] {
        let steps = &*self.by_phase[phase as usize];
        if !steps.is_empty() {
            exchange.phase = phase;
            exchange.lap();
        }
        steps
    }

    /// Calls one step; true when the request ends here with the reply that the exchange holds.
    async fn step(&self, at: u8, phase: Phase, exchange: &mut Exchange) -> bool {
        if exchange.disabled & (1 << at) != 0 {
            return false;
        }
        let filter = &self.steps[usize::from(at)];
        match filter.call(phase, exchange).await {
            Outcome::Continue => false,
            Outcome::Respond => true,
            Outcome::Fault(fault) => self.fault(at, &fault, exchange),
        }
    }

    fn fault(&self, at: u8, fault: &Fault, exchange: &mut Exchange) -> bool {
        let filter = &self.steps[usize::from(at)];
        if let Some(left_out) = self.failures[usize::from(at)].admit() {
            warn!(
                left_out,
                plugin = filter.name(),
                chain = self.name,
                route = &*exchange.route,
                phase = exchange.phase.name(),
                kind = fault.kind.name(),
                "plugin failed: {}",
                fault.message
            );
        }
        match filter.on_error() {
            OnError::FailOpen => {
                exchange.disabled |= 1 << at;
                false
            }
            OnError::FailClosed => {
                exchange.summary.error = Some("plugin-error");
                exchange.reply = Some(Reply::plain(StatusCode::INTERNAL_SERVER_ERROR));
                true
            }
        }
    }
}

/// What is handed to the body phases.
pub(super) struct Chunk {
    /// The bytes.
    pub(super) bytes: Bytes,
    /// Whether nothing follows.
    pub(super) end: bool,
    /// Whether it is the whole body.
    pub(super) kind: ChunkKind,
}

/// Whether a chunk is a part of a body or all of it: steps that buffer only see the latter.
#[derive(Clone, Copy)]
pub(super) enum ChunkKind {
    Part,
    Whole,
}

fn policy(interest: &Interest, phase: Phase) -> BodyPolicy {
    if phase == Phase::RequestBody { interest.request_body } else { interest.response_body }
}

fn plan(interests: &[Interest], phase: Phase) -> BodyPlan {
    let policies = interests.iter().filter(|i| i.phases.has(phase)).map(|i| policy(i, phase));
    policies.fold(BodyPlan::Pass, |plan, policy| match (plan, policy) {
        (BodyPlan::Buffer(most), BodyPolicy::Buffer { limit, .. }) => BodyPlan::Buffer(most.max(limit)),
        (_, BodyPolicy::Buffer { limit, .. }) => BodyPlan::Buffer(limit),
        (BodyPlan::Pass, BodyPolicy::Stream | BodyPolicy::Framed) => BodyPlan::Stream,
        (plan, _) => plan,
    })
}
