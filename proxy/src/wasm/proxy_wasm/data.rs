//! The data of a VM's store: its contexts, what a callback has in hand, and what is under way.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::Weak;
use std::task::{Context as TaskContext, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use tokio::task::AbortHandle;
use wasmtime::{Memory, TypedFunc};

use super::super::names::Names;
use super::super::store::Guard;
use super::abi::Side;
use super::callout::{Outgoing, Sender};
use super::connection;
use super::contexts::Contexts;
use super::slot::Slot;
use crate::chain::{Attributes, Client, State};

/// The data of a VM's store.
pub(super) struct Host {
    guard: Guard,
    /// The memory that pointers point into.
    pub(super) linear: Option<Memory>,
    /// The guest's allocator, for what it gets. It is not here while it runs: it must not ask for what would need it.
    pub(super) allocate: Option<TypedFunc<u32, u32>>,
    /// The plugin context.
    pub(super) root: u32,
    /// The context that the callback is for.
    pub(super) current: u32,
    /// The context that the guest chose in its place; 0 where it did not.
    pub(super) effective: u32,
    /// Streams.
    pub(super) contexts: Contexts,
    /// Streams whose end the guest put off (`proxy_on_done` said false).
    pub(super) pending: usize,
    /// The end of the plugin context was put off.
    pub(super) root_pending: bool,
    /// Contexts whose end the guest allowed in the callback that runs.
    pub(super) finished: Vec<u32>,
    /// What the callback that runs is about.
    pub(super) event: Event,
    /// The status of the callout that the callback that runs is about.
    pub(super) status: (u32, String),
    /// Callouts under way, by token.
    pub(super) callouts: HashMap<u32, Callout>,
    /// Bytes that they hold.
    pub(super) callout_bytes: usize,
    /// Callouts that are to be begun when the callback has ended.
    pub(super) outbox: Vec<Outgoing>,
    /// Foreign callbacks that the guest asked for.
    pub(super) deferred: Vec<(u32, Bytes)>,
    pub(super) last_token: u32,
    /// The time between ticks.
    pub(super) tick: Option<Duration>,
    /// Metrics by number, from 1.
    pub(super) metrics: Vec<(Metric, String)>,
    /// Names of header fields that were used, parsed.
    pub(super) names: Names,
    /// Where maps are written before they go to the guest.
    pub(super) scratch: Vec<u8>,
    /// Who runs the VM.
    pub(super) slot: Weak<Slot>,
    /// Warned already that something is not granted.
    pub(super) warned: bool,
}

/// What a callback has in hand beside its stream.
#[derive(Default)]
pub(super) enum Event {
    #[default]
    None,
    VmStart,
    Configure,
    HttpCall {
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
        trailers: HeaderMap,
    },
    GrpcInitial(HeaderMap),
    GrpcMessage(Bytes),
    GrpcTrailing(HeaderMap),
    Foreign(Bytes),
}

/// `proxy_metric_type_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    Counter,
    Gauge,
    Histogram,
}

/// A callout under way.
pub(super) struct Callout {
    /// Ends the task.
    pub(super) task: Option<AbortHandle>,
    /// Bytes that it holds.
    pub(super) bytes: usize,
    /// Where messages of a gRPC stream go; absent when its end is closed, and for calls.
    pub(super) messages: Option<Sender>,
    pub(super) grpc: bool,
    /// A gRPC stream, and not a call with one message.
    pub(super) stream: bool,
}

/// A stream.
pub(super) struct Context {
    /// The request, lent while a callback of it runs or it is paused.
    pub(super) state: Option<Box<State>>,
    /// A connection whose bytes the filter sees, and no request.
    pub(super) bytes: Option<Box<connection::Bytes>>,
    /// Bodies that are held back.
    pub(super) held: [BytesMut; 2],
    /// Bytes of bodies that came, and of those that have gone on: where they differ, `Content-Length` must say so.
    pub(super) came: [u64; 2],
    pub(super) passed: [u64; 2],
    /// Whether the guest let a side go on, since its last callback.
    pub(super) resumed: [bool; 2],
    /// The guest closed the stream.
    pub(super) closed: bool,
    /// The end was put off.
    pub(super) pending: bool,
    /// Who waits for the stream to go on.
    pub(super) waker: Option<Waker>,
}

impl Context {
    pub(super) fn new() -> Self {
        Self {
            state: None,
            bytes: None,
            held: Default::default(),
            came: [0; 2],
            passed: [0; 2],
            resumed: [false; 2],
            closed: false,
            pending: false,
            waker: None,
        }
    }

    /// The bytes of the body in hand: what is held back where something is, and else the chunk.
    pub(super) fn body(&self, side: Side) -> Option<&[u8]> {
        let state = self.state.as_deref()?;
        let held = &self.held[side as usize];
        (super::stream::side(state.phase) == Some(side)).then(|| if held.is_empty() { &state.body[..] } else { held })
    }

    /// The stream waits for the guest.
    pub(super) fn wait(&mut self, cx: &TaskContext<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Host {
    pub(super) fn new(guard: Guard, slot: Weak<Slot>) -> Self {
        Self {
            guard,
            linear: None,
            allocate: None,
            root: 1,
            current: 0,
            effective: 0,
            contexts: Contexts::default(),
            pending: 0,
            root_pending: false,
            finished: Vec::new(),
            event: Event::None,
            status: (0, String::new()),
            callouts: HashMap::new(),
            callout_bytes: 0,
            outbox: Vec::new(),
            deferred: Vec::new(),
            last_token: 0,
            tick: None,
            metrics: Vec::new(),
            names: Names::default(),
            scratch: Vec::new(),
            slot,
            warned: false,
        }
    }

    /// The context that a host function is about.
    pub(super) fn about(&self) -> u32 {
        if self.effective != 0 && (self.effective == self.root || self.contexts.get(self.effective).is_some()) {
            self.effective
        } else {
            self.current
        }
    }

    /// The stream that a host function is about; none where it is about the plugin context.
    pub(super) fn stream(&self) -> Option<&Context> {
        self.contexts.get(self.about())
    }

    /// The same, to be changed.
    pub(super) fn stream_mut(&mut self) -> Option<&mut Context> {
        let about = self.about();
        self.contexts.get_mut(about)
    }

    /// The connection whose bytes the filter sees.
    pub(super) fn bytes(&self) -> Option<&connection::Bytes> {
        self.stream()?.bytes.as_deref()
    }

    /// The client, of a request or of a connection.
    pub(super) fn client(&self) -> Option<&Client> {
        let stream = self.stream()?;
        let of_bytes = || Some(&*stream.bytes.as_deref()?.passenger.client);
        stream.state.as_deref().map(|state| &*state.client).or_else(of_bytes)
    }

    /// The upstream's name and its endpoint, once they are known.
    pub(super) fn upstream(&self) -> Option<(&str, Option<&str>)> {
        let stream = self.stream()?;
        match (&stream.state, &stream.bytes) {
            (Some(state), _) => state.summary.upstream.as_ref().map(|(name, endpoint)| (&**name, Some(&**endpoint))),
            (None, Some(bytes)) => Some((&bytes.passenger.upstream, bytes.endpoint.as_deref())),
            (None, None) => None,
        }
    }

    /// The attributes, of a request or of a connection.
    pub(super) fn attributes(&self) -> Option<&Attributes> {
        let stream = self.stream()?;
        let of_bytes = || Some(&stream.bytes.as_deref()?.attributes);
        stream.state.as_deref().map(|state| &state.attributes).or_else(of_bytes)
    }

    /// The same, to be changed.
    pub(super) fn attributes_mut(&mut self) -> Option<&mut Attributes> {
        let stream = self.stream_mut()?;
        match (&mut stream.state, &mut stream.bytes) {
            (Some(state), _) => Some(&mut state.attributes),
            (None, Some(bytes)) => Some(&mut bytes.attributes),
            (None, None) => None,
        }
    }

    /// The request in hand.
    pub(super) fn state(&self) -> Option<&State> {
        self.stream()?.state.as_deref()
    }

    /// The same, to be changed.
    pub(super) fn state_mut(&mut self) -> Option<&mut State> {
        self.stream_mut()?.state.as_deref_mut()
    }
}

impl Deref for Host {
    type Target = Guard;

    fn deref(&self) -> &Guard {
        &self.guard
    }
}

impl DerefMut for Host {
    fn deref_mut(&mut self) -> &mut Guard {
        &mut self.guard
    }
}
