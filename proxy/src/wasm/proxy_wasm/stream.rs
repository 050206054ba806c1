//! The callbacks of a stream, phase by phase.

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_LENGTH;

use super::abi::Side;
use super::data::{Context, Host};
use super::vm::{Headers, Vm};
use crate::chain::{Fault, FaultKind, Phase, Reply, State};

/// What a phase of a stream came to.
pub(super) enum Flow {
    /// It goes on.
    Continue,
    /// There is an answer, or the stream is to be broken off.
    Respond,
    /// It waits until the guest resumes it.
    Paused,
    /// The stream failed, and its VM did not.
    Fault(Fault),
}

/// The side that a phase belongs to.
pub(super) fn side(phase: Phase) -> Option<Side> {
    match phase {
        Phase::RequestHeaders | Phase::RequestBody => Some(Side::Request),
        Phase::ResponseHeaders | Phase::ResponseBody => Some(Side::Response),
        Phase::Complete => None,
    }
}

impl Vm {
    /// Runs the callbacks of a phase. The state is with the context.
    pub(super) fn phase(&mut self, context: u32, phase: Phase) -> Result<Flow, Fault> {
        match phase {
            Phase::RequestHeaders => self.headers(context, Side::Request),
            Phase::ResponseHeaders => self.headers(context, Side::Response),
            Phase::RequestBody => self.body(context, Side::Request),
            Phase::ResponseBody => self.body(context, Side::Response),
            Phase::Complete => self.end(context).map(|()| Flow::Continue),
        }
    }

    fn headers(&mut self, context: u32, side: Side) -> Result<Flow, Fault> {
        let callback = match side {
            Side::Request => self.exports.request_headers.clone(),
            Side::Response => self.exports.response_headers.clone(),
        };
        let action = match callback {
            None => 0,
            Some(callback) => {
                let (count, end) = self.prepare(context, |stream| {
                    stream.resumed[side as usize] = false;
                    stream.state.as_deref().map_or((0, false), |state| (count(state, side), state.body_end))
                })?;
                match callback {
                    Headers::V01(callback) => self.call(context, &callback, (context, count))?,
                    Headers::V02(callback) => self.call(context, &callback, (context, count, u32::from(end)))?,
                }
            }
        };
        let stream = self.stream(context)?;
        let flow = settle(stream, side, action);
        if matches!(flow, Flow::Continue) {
            declare(stream, side);
        }
        Ok(flow)
    }

    fn body(&mut self, context: u32, side: Side) -> Result<Flow, Fault> {
        let (callback, on_trailers) = match side {
            Side::Request => (self.exports.request_body.clone(), self.exports.request_trailers.clone()),
            Side::Response => (self.exports.response_body.clone(), self.exports.response_trailers.clone()),
        };
        let limit = self.store.data().env.limits.body;
        let (last, trailers, empty, before) = self.prepare(context, |stream| hold(stream, side))?;
        let mut flow = Flow::Continue;
        if let Some(callback) = callback
            && (!empty || (last && !trailers))
        {
            let length = self.prepare(context, |stream| stream.body(side).map_or(0, <[u8]>::len))?;
            if length as u64 > limit && !self.stream(context)?.held[side as usize].is_empty() {
                return self.over(context, side, limit);
            }
            let end = u32::from(last && !trailers);
            let action = self.call(context, &callback, (context, length as u32, end))?;
            flow = settle(self.stream(context)?, side, action);
        }
        if trailers && !matches!(flow, Flow::Respond) {
            let action = match on_trailers {
                Some(callback) => {
                    let count = self.prepare(context, |stream| {
                        stream.resumed[side as usize] = false;
                        let state = stream.state.as_deref();
                        state.and_then(|state| state.trailers.as_ref()).map_or(0, http::HeaderMap::len)
                    })?;
                    self.call(context, &callback, (context, count as u32))?
                }
                None => 0,
            };
            flow = settle(self.stream(context)?, side, action);
        }
        let stream = self.stream(context)?;
        match flow {
            Flow::Paused if !last => {
                keep(stream, side, before);
                Ok(Flow::Continue)
            }
            Flow::Continue => Ok(release(stream, side, &before)),
            Flow::Paused => {
                // What the guest has let go already goes with the rest.
                if let Some(state) = stream.state.as_deref_mut() {
                    let rest = std::mem::take(&mut state.body);
                    stream.held[side as usize].extend_from_slice(&rest);
                    if !before.is_empty() {
                        let held = std::mem::take(&mut stream.held[side as usize]);
                        stream.held[side as usize].extend_from_slice(&before);
                        stream.held[side as usize].extend_from_slice(&held);
                    }
                }
                Ok(Flow::Paused)
            }
            other => Ok(other),
        }
    }

    /// A body that is held back is longer than it may be.
    fn over(&mut self, context: u32, side: Side, limit: u64) -> Result<Flow, Fault> {
        let stream = self.stream(context)?;
        stream.held[side as usize].clear();
        if let (Side::Request, Some(state)) = (side, stream.state.as_deref_mut()) {
            state.reply = Some(Reply::plain(StatusCode::PAYLOAD_TOO_LARGE));
            return Ok(Flow::Respond);
        }
        let message = format!("it holds back more than its limit of {limit} bytes of a body");
        stream.closed = true;
        tracing::warn!(plugin = &*self.store.data().env.name, "{message}");
        Ok(Flow::Respond)
    }

    fn prepare<T>(&mut self, context: u32, prepare: impl FnOnce(&mut Context) -> T) -> Result<T, Fault> {
        self.stream(context).map(prepare)
    }

    fn stream(&mut self, context: u32) -> Result<&mut Context, Fault> {
        stream(self.store.data_mut(), context)
    }
}

fn stream(host: &mut Host, context: u32) -> Result<&mut Context, Fault> {
    let lost = || Fault { kind: FaultKind::Failed, message: "its stream is not there any more".to_owned() };
    host.contexts.get_mut(&context).ok_or_else(lost)
}

/// How many header fields the guest will find.
fn count(state: &State, side: Side) -> u32 {
    match side {
        // `host` is `:authority`, and there are `:method`, `:path` and `:scheme`.
        Side::Request => state.request.headers.len() as u32 + 3,
        Side::Response => state.response.as_ref().map_or(0, |response| response.headers.len() as u32 + 1),
    }
}

/// What the guest's action means, after what else it has said in the callback.
fn settle(stream: &mut Context, side: Side, action: u32) -> Flow {
    let answered = stream.state.as_deref().is_some_and(|state| state.reply.is_some());
    if answered || stream.closed {
        return close(stream);
    }
    if action == 0 || stream.resumed[side as usize] { Flow::Continue } else { Flow::Paused }
}

/// The stream ends with the answer that the guest gave; one that it closed without has this.
pub(super) fn close(stream: &mut Context) -> Flow {
    if std::mem::take(&mut stream.closed)
        && let Some(state) = stream.state.as_deref_mut()
        && state.reply.is_none()
    {
        state.reply = Some(Reply::plain(StatusCode::SERVICE_UNAVAILABLE));
    }
    Flow::Respond
}

/// Remembers what the headers that go on say of the body's length.
pub(super) fn declare(stream: &mut Context, side: Side) {
    let Some(state) = stream.state.as_deref() else { return };
    let headers = match side {
        Side::Request => Some(&state.request.headers),
        Side::Response => state.response.as_ref().map(|response| &response.headers),
    };
    let length = headers.and_then(|headers| headers.get(CONTENT_LENGTH));
    stream.declared[side as usize] = length.and_then(|length| length.to_str().ok()?.parse().ok());
}

/// Puts a chunk behind what is held back. Says whether it is the last, whether trailers follow, whether it is empty, and
/// what the guest has let go meanwhile.
fn hold(stream: &mut Context, side: Side) -> (bool, bool, bool, Bytes) {
    let at = side as usize;
    let mut before = Bytes::new();
    if std::mem::take(&mut stream.resumed[at]) {
        before = std::mem::take(&mut stream.held[at]).freeze();
    }
    let Some(state) = stream.state.as_deref_mut() else { return (true, false, true, before) };
    let empty = state.body.is_empty();
    if !stream.held[at].is_empty() {
        stream.held[at].extend_from_slice(&std::mem::take(&mut state.body));
    }
    (state.body_end, state.trailers.is_some(), empty, before)
}

/// Holds a chunk back.
fn keep(stream: &mut Context, side: Side, before: Bytes) {
    let Some(state) = stream.state.as_deref_mut() else { return };
    let chunk = std::mem::replace(&mut state.body, before);
    stream.passed[side as usize] += state.body.len() as u64;
    stream.held[side as usize].extend_from_slice(&chunk);
}

/// Lets go what is held back, and the chunk in hand. A body of another length than its headers said is broken off: its
/// end, or what follows it, would be taken for something else.
pub(super) fn release(stream: &mut Context, side: Side, before: &[u8]) -> Flow {
    let at = side as usize;
    let Some(state) = stream.state.as_deref_mut() else { return Flow::Continue };
    let mut held = std::mem::take(&mut stream.held[at]);
    if !held.is_empty() {
        held.extend_from_slice(&state.body);
        state.body = held.freeze();
    }
    if !before.is_empty() {
        state.body = [before, &state.body].concat().into();
    }
    stream.passed[at] += state.body.len() as u64;
    let passed = stream.passed[at];
    match stream.declared[at] {
        Some(declared) if passed > declared || (state.body_end && passed < declared && !is_head(state)) => {
            let message = format!(
                "it made {passed} bytes of a body whose content-length says {declared}: a filter that changes the \
                 length of a body removes content-length when it sees the headers"
            );
            Flow::Fault(Fault { kind: FaultKind::Failed, message })
        }
        _ => Flow::Continue,
    }
}

fn is_head(state: &State) -> bool {
    state.request.method == http::Method::HEAD
}
