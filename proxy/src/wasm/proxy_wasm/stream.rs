//! The callbacks of a stream, phase by phase.

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_LENGTH;

use super::abi::Side;
use super::data::{Context, Host};
use super::exports::Headers;
use super::vm::Vm;
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
        let stream = self.stream(context)?;
        stream.resumed[side as usize] = false;
        let (count, end) =
            stream.state.as_deref().map_or((0, 0), |state| (count(state, side), u32::from(state.body_end)));
        let action = match self.exports.headers(side) {
            Headers::None => None,
            Headers::V01(_) => self.call(context, |exports| exports.headers(side).v01(), (context, count))?,
            Headers::V02(_) => self.call(context, |exports| exports.headers(side).v02(), (context, count, end))?,
        };
        Ok(settle(self.stream(context)?, side, action))
    }

    fn body(&mut self, context: u32, side: Side) -> Result<Flow, Fault> {
        let limit = self.store.data().env.limits.body;
        let chunk = hold(self.stream(context)?, side);
        let (last, trailers) = (chunk.last, chunk.trailers);
        let mut flow = Flow::Continue;
        if !chunk.empty || (last && trailers.is_none()) {
            if chunk.length as u64 > limit && !self.stream(context)?.held[side as usize].is_empty() {
                return self.over(context, side, limit);
            }
            let end = u32::from(last && trailers.is_none());
            let arguments = (context, chunk.length as u32, end);
            let action = self.call(context, |exports| exports.body(side), arguments)?;
            flow = settle(self.stream(context)?, side, action);
        }
        if let Some(count) = trailers.filter(|_| !matches!(flow, Flow::Respond)) {
            self.stream(context)?.resumed[side as usize] = false;
            let action = self.call(context, |exports| exports.trailers(side), (context, count))?;
            flow = settle(self.stream(context)?, side, action);
        }
        let before = chunk.before;
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

    fn stream(&mut self, context: u32) -> Result<&mut Context, Fault> {
        stream(self.store.data_mut(), context)
    }
}

fn stream(host: &mut Host, context: u32) -> Result<&mut Context, Fault> {
    let lost = || Fault { kind: FaultKind::Failed, message: "its stream is not there any more".to_owned() };
    host.contexts.get_mut(context).ok_or_else(lost)
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
fn settle(stream: &mut Context, side: Side, action: Option<u32>) -> Flow {
    let answered = stream.state.as_deref().is_some_and(|state| state.reply.is_some());
    if answered || stream.closed {
        return close(stream);
    }
    if action.unwrap_or(0) == 0 || stream.resumed[side as usize] { Flow::Continue } else { Flow::Paused }
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

/// What the headers that went on say of the body's length.
fn declared(state: &State, side: Side) -> Option<u64> {
    let headers = match side {
        Side::Request => &state.request.headers,
        Side::Response => &state.response.as_ref()?.headers,
    };
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A chunk of a body, behind what is held back.
struct Chunk {
    last: bool,
    /// How many trailers follow, where any do.
    trailers: Option<u32>,
    /// Nothing came with it.
    empty: bool,
    /// Bytes, with what is held back.
    length: usize,
    /// What the guest has let go meanwhile.
    before: Bytes,
}

/// Puts a chunk behind what is held back.
fn hold(stream: &mut Context, side: Side) -> Chunk {
    let at = side as usize;
    let mut before = Bytes::new();
    if std::mem::take(&mut stream.resumed[at]) {
        before = std::mem::take(&mut stream.held[at]).freeze();
    }
    let Some(state) = stream.state.as_deref_mut() else {
        return Chunk { last: true, trailers: None, empty: true, length: 0, before };
    };
    let (came, held) = (state.body.len(), stream.held[at].len());
    stream.came[at] += came as u64;
    if held > 0 {
        stream.held[at].extend_from_slice(&std::mem::take(&mut state.body));
    }
    let trailers = state.trailers.as_ref().map(|trailers| trailers.len() as u32);
    Chunk { last: state.body_end, trailers, empty: came == 0, length: held + came, before }
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
    let (came, passed) = (stream.came[at], stream.passed[at]);
    // What came is as long as the headers say: HTTP's readers see to it.
    if passed == came || (passed < came && !state.body_end) {
        return Flow::Continue;
    }
    match declared(state, side) {
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
