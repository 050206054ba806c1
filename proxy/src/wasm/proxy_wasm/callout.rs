//! Callouts: requests over HTTP and gRPC that a guest sends. Each is a task on the VM's worker; what comes back is a
//! callback in the plugin context.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use wasmtime::TypedFunc;

use super::data::{Callout, Event, Host};
use super::exports::Exports;
use super::slot::Slot;
use super::vm::Vm;
use crate::chain::{Fault, Outbound, OutboundError};
use crate::http::{Body, BodyError, hop};

/// The most callouts of one VM that are under way.
const MAX_CALLOUTS: usize = 1024;

/// A callout that is to be begun.
pub(super) struct Outgoing {
    pub(super) token: u32,
    pub(super) target: Target,
    pub(super) request: Request<Bytes>,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) timeout: Duration,
    pub(super) kind: Kind,
}

/// Whom it goes to.
pub(super) enum Target {
    /// The host in its URI.
    Host,
    /// An upstream of the configuration.
    Upstream(Box<str>),
}

/// What it is.
pub(super) enum Kind {
    Http,
    GrpcCall,
    GrpcStream(Messages),
}

impl Host {
    /// Counts a callout and gives it its token; `None` where too many are under way.
    pub(super) fn callout(&mut self, bytes: usize, kind: &Kind, messages: Option<Sender>) -> Option<u32> {
        if self.callouts.len() >= MAX_CALLOUTS || self.callout_bytes + bytes > self.env.limits.memory {
            return None;
        }
        loop {
            self.last_token = self.last_token.wrapping_add(1);
            if self.last_token != 0 && !self.callouts.contains_key(&self.last_token) {
                break;
            }
        }
        let (grpc, stream) = match kind {
            Kind::Http => (false, false),
            Kind::GrpcCall => (true, false),
            Kind::GrpcStream(_) => (true, true),
        };
        self.callout_bytes += bytes;
        self.callouts.insert(self.last_token, Callout { task: None, bytes, messages, grpc, stream });
        Some(self.last_token)
    }

    /// A callout is over.
    pub(super) fn settled(&mut self, token: u32) -> Option<Callout> {
        let callout = self.callouts.remove(&token)?;
        self.callout_bytes -= callout.bytes;
        Some(callout)
    }
}

impl Callout {
    /// Ends it without a word to the guest.
    pub(super) fn abort(self) {
        if let Some(task) = self.task {
            task.abort();
        }
    }
}

/// Where the guest puts the messages of a gRPC stream.
pub(super) struct Sender {
    channel: UnboundedSender<Bytes>,
    queued: Arc<AtomicUsize>,
}

impl Sender {
    /// Puts a message behind the others; false where more than `most` bytes would wait, or the stream is over.
    pub(super) fn send(&self, message: &[u8], most: usize) -> bool {
        let queued = self.queued.load(Relaxed) + message.len();
        if queued > most {
            return false;
        }
        self.queued.store(queued, Relaxed);
        self.channel.send(framed(message)).is_ok()
    }
}

/// A gRPC stream's messages on their way to the server.
pub(super) fn messages() -> (Sender, Messages) {
    let (channel, receiver) = unbounded_channel();
    let queued = Arc::new(AtomicUsize::new(0));
    (Sender { channel, queued: queued.clone() }, Messages { channel: receiver, queued })
}

/// A message with its prefix: not compressed, and its length.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.extend_from_slice(&[0]);
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(message);
    framed.freeze()
}

/// Begins what a callback has asked for, on the worker that the VM belongs to.
pub(super) fn begin(slot: &Arc<Slot>, vm: &mut Vm) {
    let serial = vm.serial;
    let host = vm.store.data_mut();
    for outgoing in std::mem::take(&mut host.outbox) {
        let token = outgoing.token;
        // One that was cancelled in the callback that asked for it.
        let Some(callout) = host.callouts.get_mut(&token) else { continue };
        let task = tokio::spawn(run(slot.clone(), serial, outgoing));
        callout.task = Some(task.abort_handle());
    }
}

async fn run(slot: Arc<Slot>, serial: u64, outgoing: Outgoing) {
    let token = outgoing.token;
    match outgoing.kind {
        Kind::Http => {
            let answered = http(&slot, outgoing).await;
            slot.with(serial, "on_http_call_response", |vm| vm.http_answer(token, answered));
        }
        Kind::GrpcCall | Kind::GrpcStream(_) => grpc(&slot, serial, outgoing).await,
    }
}

type Answer = Result<(http::response::Parts, Bytes, HeaderMap), OutboundError>;

async fn http(slot: &Arc<Slot>, outgoing: Outgoing) -> Answer {
    let limit = slot.code.env.allow.http_limits.response_size;
    let Outgoing { target, request, trailers, timeout: most, .. } = outgoing;
    let (parts, body) = request.into_parts();
    let body = match trailers {
        None => Body::full(body),
        Some(trailers) => Body::layered(Whole { body: Some(body), trailers: Some(trailers) }),
    };
    let whole = async {
        let response = send(slot, &target, Request::from_parts(parts, body), false).await?;
        let (mut parts, mut body) = response.into_parts();
        hop::strip_response(&mut parts.headers);
        let (mut bytes, mut trailers) = (BytesMut::new(), HeaderMap::new());
        while let Some(frame) = body.frame().await {
            match frame.map_err(broken)?.into_data() {
                Ok(data) if bytes.len() + data.len() > limit => return Err(OutboundError::TooLarge),
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        Ok((parts, bytes.freeze(), trailers))
    };
    timeout(most, whole).await.unwrap_or(Err(OutboundError::Timeout))
}

async fn send(
    slot: &Arc<Slot>,
    target: &Target,
    request: Request<Body>,
    http2: bool,
) -> Result<Response<Body>, OutboundError> {
    let outbound: &dyn Outbound = &*slot.code.env.outbound;
    match target {
        Target::Host => outbound.open(request, http2).await,
        Target::Upstream(name) => outbound.open_upstream(slot.worker, name, request).await,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn broken(error: BodyError) -> OutboundError {
    OutboundError::Unreachable(format!("the body broke off: {error}"))
}

/// How a gRPC call ended: status and message.
type GrpcEnd = (u32, String);

const UNKNOWN: u32 = 2;
const DEADLINE_EXCEEDED: u32 = 4;
const RESOURCE_EXHAUSTED: u32 = 8;
const INTERNAL: u32 = 13;
const UNAVAILABLE: u32 = 14;

async fn grpc(slot: &Arc<Slot>, serial: u64, outgoing: Outgoing) {
    let token = outgoing.token;
    let most = outgoing.timeout;
    let conversation = converse(slot, serial, outgoing);
    let ended = timeout(most, conversation).await;
    let (code, message) = match ended {
        Ok(Ok(end)) => end,
        Ok(Err(OutboundError::Timeout)) | Err(_) => (DEADLINE_EXCEEDED, "no answer in time".to_owned()),
        Ok(Err(OutboundError::TooLarge)) => (RESOURCE_EXHAUSTED, OutboundError::TooLarge.to_string()),
        Ok(Err(error)) => (UNAVAILABLE, error.to_string()),
    };
    slot.with(serial, "on_grpc_close", |vm| vm.grpc_closed(token, code, message));
}

/// Sends what there is to send and hands over what comes, until the server's end.
async fn converse(slot: &Arc<Slot>, serial: u64, outgoing: Outgoing) -> Result<GrpcEnd, OutboundError> {
    let Outgoing { token, target, request, kind, .. } = outgoing;
    let limit = slot.code.env.allow.http_limits.response_size;
    let (parts, message) = request.into_parts();
    let (stream, body) = match kind {
        Kind::GrpcStream(messages) => (true, Body::layered(messages)),
        _ => (false, Body::full(message)),
    };
    let response = send(slot, &target, Request::from_parts(parts, body), true).await?;
    let (mut parts, mut body) = response.into_parts();
    hop::strip_response(&mut parts.headers);
    if parts.status != StatusCode::OK {
        return Ok((grpc_status(parts.status), format!("the server answered with {}", parts.status)));
    }
    // An answer of nothing but its end has the status in its headers.
    let mut end = end_of(&parts.headers);
    if stream && end.is_none() {
        let headers = parts.headers;
        slot.with(serial, "on_grpc_receive_initial_metadata", |vm| vm.grpc_initial(token, headers));
    }
    let mut buffer = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame.map_err(broken)?.into_data() {
            Ok(data) => {
                buffer.extend_from_slice(&data);
                while let Some(message) = next_message(&mut buffer, limit)? {
                    slot.with(serial, "on_grpc_receive", |vm| vm.grpc_message(token, message));
                }
            }
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                end = end_of(&trailers);
                if stream {
                    slot.with(serial, "on_grpc_receive_trailing_metadata", |vm| vm.grpc_trailing(token, trailers));
                }
            }
        }
    }
    Ok(end.unwrap_or_else(|| (UNKNOWN, "the server ended without a status".to_owned())))
}

/// The next whole message (the gRPC protocol's `Length-Prefixed-Message`).
fn next_message(buffer: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, OutboundError> {
    let Some((prefix, rest)) = buffer.split_first_chunk::<5>() else { return Ok(None) };
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    if length > limit {
        return Err(OutboundError::TooLarge);
    }
    if prefix[0] != 0 {
        return Err(OutboundError::Unreachable("a compressed message, which was not asked for".to_owned()));
    }
    if rest.len() < length {
        return Ok(None);
    }
    buffer.advance(5);
    Ok(Some(buffer.split_to(length).freeze()))
}

fn end_of(fields: &HeaderMap) -> Option<GrpcEnd> {
    let code = fields.get("grpc-status")?.to_str().ok()?.parse().unwrap_or(UNKNOWN);
    let message = fields.get("grpc-message").map(HeaderValue::as_bytes).unwrap_or_default();
    Some((code, decoded(message)))
}

/// A message as gRPC writes it in a field: percent-encoded.
fn decoded(message: &[u8]) -> String {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut text = Vec::with_capacity(message.len());
    let mut rest = message;
    while let Some((first, after)) = rest.split_first() {
        if let (b'%', [high, low, after @ ..]) = (first, after)
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            text.push((high * 16 + low) as u8);
            rest = after;
        } else {
            text.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The status that a server's HTTP status stands for, where it is not gRPC's.
fn grpc_status(status: StatusCode) -> u32 {
    match status.as_u16() {
        400 => INTERNAL,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// Messages as they are sent, as a body.
pub(super) struct Messages {
    channel: UnboundedReceiver<Bytes>,
    queued: Arc<AtomicUsize>,
}

impl http_body::Body for Messages {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let message = std::task::ready!(self.channel.poll_recv(cx));
        if let Some(message) = &message {
            // Its prefix was not counted.
            self.queued.fetch_sub(message.len().saturating_sub(5), Relaxed);
        }
        Poll::Ready(message.map(|message| Ok(Frame::data(message))))
    }
}

/// A body with trailers.
struct Whole {
    body: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = self.body.take().map(Frame::data);
        Poll::Ready(body.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }
}

impl Vm {
    fn http_answer(&mut self, token: u32, answer: Answer) -> Result<(), Fault> {
        let root = self.store.data().root;
        let host = self.store.data_mut();
        if host.settled(token).is_none() {
            return Ok(());
        }
        let (headers, body, trailers) = match answer {
            Ok((parts, body, trailers)) => {
                let counts = (parts.headers.len() as u32 + 1, body.len() as u32, trailers.len() as u32);
                host.status = (u32::from(parts.status.as_u16()), String::new());
                host.event = Event::HttpCall { status: parts.status, headers: parts.headers, body, trailers };
                counts
            }
            Err(error) => {
                host.status = (0, error.to_string());
                (0, 0, 0)
            }
        };
        let arguments = (root, token, headers, body, trailers);
        self.deliver(|vm| vm.call(root, |exports| exports.http_call.as_ref(), arguments).map(drop))
    }

    fn grpc_initial(&mut self, token: u32, headers: HeaderMap) -> Result<(), Fault> {
        let count = headers.len() as u32;
        self.grpc_event(token, |exports| exports.grpc_initial.as_ref(), count, Event::GrpcInitial(headers))
    }

    fn grpc_message(&mut self, token: u32, message: Bytes) -> Result<(), Fault> {
        let length = message.len() as u32;
        // A call has one message, and with it is over.
        let host = self.store.data_mut();
        let over = host.callouts.get(&token).is_some_and(|callout| !callout.stream);
        let event = Event::GrpcMessage(message);
        let called = self.grpc_event(token, |exports| exports.grpc_receive.as_ref(), length, event);
        if over {
            self.store.data_mut().settled(token);
        }
        called
    }

    fn grpc_trailing(&mut self, token: u32, trailers: HeaderMap) -> Result<(), Fault> {
        let count = trailers.len() as u32;
        self.grpc_event(token, |exports| exports.grpc_trailing.as_ref(), count, Event::GrpcTrailing(trailers))
    }

    fn grpc_closed(&mut self, token: u32, code: u32, message: String) -> Result<(), Fault> {
        self.store.data_mut().status = (code, message);
        let called = self.grpc_event(token, |exports| exports.grpc_close.as_ref(), code, Event::None);
        self.store.data_mut().settled(token);
        called
    }

    fn grpc_event(
        &mut self,
        token: u32,
        callback: impl for<'a> FnOnce(&'a Exports) -> Option<&'a TypedFunc<(u32, u32, u32), ()>>,
        number: u32,
        event: Event,
    ) -> Result<(), Fault> {
        let host = self.store.data_mut();
        // The guest has cancelled it.
        if !host.callouts.contains_key(&token) {
            return Ok(());
        }
        let root = host.root;
        host.event = event;
        self.deliver(|vm| vm.call(root, callback, (root, token, number)).map(drop))
    }

    fn deliver(&mut self, call: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        let called = call(self);
        let host = self.store.data_mut();
        host.event = Event::None;
        host.status = (0, String::new());
        called
    }

    pub(super) fn tick(&mut self) -> Result<(), Fault> {
        let root = self.store.data().root;
        self.call(root, |exports| exports.tick.as_ref(), root).map(drop)
    }

    pub(super) fn queue_ready(&mut self, queue: u32) -> Result<(), Fault> {
        let root = self.store.data().root;
        self.call(root, |exports| exports.queue_ready.as_ref(), (root, queue)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::{decoded, framed, next_message};

    #[test]
    fn messages_come_out_whole_however_they_came_in() {
        let mut buffer = BytesMut::new();
        let sent = [framed(b"one"), framed(b""), framed(b"three")].concat();
        let mut got = Vec::new();
        for byte in sent {
            buffer.extend_from_slice(&[byte]);
            while let Some(message) = next_message(&mut buffer, 5).unwrap() {
                got.push(message);
            }
        }
        assert_eq!(got, [&b"one"[..], b"", b"three"]);
        assert!(next_message(&mut BytesMut::from(&framed(b"longer")[..]), 5).is_err());
        assert!(next_message(&mut BytesMut::from(&[1, 0, 0, 0, 0][..]), 5).is_err());
    }

    #[test]
    fn messages_of_a_status_are_percent_decoded() {
        assert_eq!(decoded(b"a%20b%C3%A4%"), "a b\u{e4}%");
        assert_eq!(decoded(b"%zz"), "%zz");
    }
}
