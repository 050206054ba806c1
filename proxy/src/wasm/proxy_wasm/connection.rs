//! Connections whose bytes a filter sees: its callbacks, and what waits for it.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use bytes::BytesMut;

use super::data::Context;
use super::slot::{Slot, crowded, lost};
use super::vm::Vm;
use super::{Code, LoadError, ProxyWasmFilter};
use crate::chain::{Attributes, Fault, Passenger, Passing, Way};
use crate::config::OnError;
use crate::telemetry::PluginMetrics;

/// A connection, as its context has it.
pub(super) struct Bytes {
    pub(super) passenger: Passenger,
    /// The endpoint, once there is a connection to it.
    pub(super) endpoint: Option<Arc<str>>,
    pub(super) attributes: Attributes,
    /// What each has sent and what has not gone on yet.
    pub(super) held: [BytesMut; 2],
    /// Whether the end is behind that.
    ended: [bool; 2],
    /// Whose bytes a callback has in hand.
    pub(super) in_hand: Option<Way>,
}

impl Bytes {
    /// The bytes that come this way, where there are any or a callback is about them.
    pub(super) fn of(&self, way: Way) -> Option<&BytesMut> {
        let held = &self.held[way as usize];
        (self.in_hand == Some(way) || !held.is_empty()).then_some(held)
    }

    fn take(&mut self, way: Way) -> (BytesMut, bool) {
        let at = way as usize;
        (std::mem::take(&mut self.held[at]), std::mem::take(&mut self.ended[at]))
    }
}

/// A connection, as a filter has it: it is over for the filter when this is dropped.
pub struct Connection {
    code: Arc<Code>,
    slot: Arc<Slot>,
    serial: u64,
    context: u32,
    /// The last call took long.
    long: bool,
}

impl ProxyWasmFilter {
    /// Begins a connection, and waits as long as the filter holds it. Nothing where the filter closes it.
    ///
    /// # Errors
    /// When the filter fails.
    pub async fn connect(&self, passenger: &Passenger) -> Result<Option<Connection>, Fault> {
        let slot = self.slot(passenger.client.worker);
        if slot.serial().is_none() {
            slot.renew().await.map_err(LoadError::unavailable)?;
        }
        let serial = slot.serial().ok_or_else(lost)?;
        let mut connection =
            Connection { code: self.code.clone(), slot: slot.clone(), serial, context: 0, long: false };
        let begun = connection.timed(PluginMetrics::CONNECTION, |vm, at| {
            let bytes = Bytes {
                passenger: passenger.clone(),
                endpoint: None,
                attributes: Attributes::default(),
                held: Default::default(),
                ended: [false; 2],
                in_hand: None,
            };
            let Some((context, stream)) = vm.store.data_mut().contexts.open() else { return Ok(Err(crowded())) };
            stream.bytes = Some(Box::new(bytes));
            *at = context;
            vm.create(context)?;
            let action = vm.call(context, |exports| exports.new_connection.as_ref(), context)?;
            Ok(Ok(action.unwrap_or(0) == 0))
        });
        if !begun?? {
            std::future::poll_fn(|cx| connection.poll_let_in(cx)).await?;
        }
        let closed = connection.look(|context| context.closed)?;
        Ok((!closed).then_some(connection))
    }
}

impl Connection {
    /// What the operator wants when the filter fails.
    pub fn on_error(&self) -> OnError {
        self.code.env.on_error
    }

    /// The filter's name.
    pub fn name(&self) -> &str {
        &self.code.env.name
    }

    /// Whether its last call took so long that others on its worker should have their turn now; says so once.
    pub fn took_long(&mut self) -> bool {
        std::mem::take(&mut self.long)
    }

    /// There is a connection to an endpoint.
    pub fn reached(&self, endpoint: &Arc<str>) {
        // A VM that has ended says so when the next bytes come.
        let _ = self.look(|context| {
            if let Some(bytes) = &mut context.bytes {
                bytes.endpoint = Some(endpoint.clone());
            }
        });
    }

    /// Shows the filter what has come this way, behind what it holds back. `end` where nothing follows.
    pub fn data(&mut self, way: Way, chunk: BytesMut, end: bool) -> Passing {
        let at = way as usize;
        let limit = usize::try_from(self.code.env.limits.body).unwrap_or(usize::MAX);
        let mut unseen = Some(chunk);
        let seen = self.timed(PluginMetrics::DATA, |vm, context| {
            let (context, host) = (*context, vm.store.data_mut());
            let Some(stream) = host.contexts.get_mut(context) else { return Ok(Seen::Nothing) };
            stream.resumed[at] = false;
            let Some(bytes) = &mut stream.bytes else { return Ok(Seen::Nothing) };
            let chunk = unseen.take().unwrap_or_default();
            let held = &mut bytes.held[at];
            if held.is_empty() {
                *held = chunk;
            } else if held.len() + chunk.len() > limit {
                return Ok(Seen::TooMuch);
            } else {
                held.extend_from_slice(&chunk);
            }
            bytes.ended[at] = end;
            bytes.in_hand = Some(way);
            let arguments = (context, held.len() as u32, u32::from(end));
            let action = vm.call(context, |exports| exports.data(way), arguments)?;
            let Some(stream) = vm.store.data_mut().contexts.get_mut(context) else { return Ok(Seen::Nothing) };
            let Some(bytes) = &mut stream.bytes else { return Ok(Seen::Nothing) };
            bytes.in_hand = None;
            if stream.closed {
                return Ok(Seen::Closed);
            }
            if action.unwrap_or(0) != 0 && !stream.resumed[at] {
                return Ok(Seen::Held);
            }
            let (bytes, end) = bytes.take(way);
            Ok(Seen::On(bytes, end))
        });
        match seen {
            Ok(Seen::On(bytes, end)) => Passing::On(bytes, end),
            Ok(Seen::Held) => Passing::On(BytesMut::new(), false),
            Ok(Seen::Closed) => Passing::Close,
            Ok(Seen::TooMuch) => {
                tracing::warn!(
                    plugin = self.name(),
                    "it holds back more than its limit of {limit} bytes of a connection"
                );
                Passing::Close
            }
            Ok(Seen::Nothing) => self.failed(lost(), way, unseen, end),
            Err(fault) => self.failed(fault, way, unseen, end),
        }
    }

    /// Waits until the filter lets go what it holds back of a way.
    pub fn poll_let_go(&mut self, way: Way, cx: &TaskContext<'_>) -> Poll<Passing> {
        let at = way as usize;
        let polled = self.look(|context| {
            if context.closed {
                return Poll::Ready(Passing::Close);
            }
            if let Some(bytes) = context.bytes.as_mut().filter(|_| context.resumed[at]) {
                context.resumed[at] = false;
                let (bytes, end) = bytes.take(way);
                if end || !bytes.is_empty() {
                    return Poll::Ready(Passing::On(bytes, end));
                }
            }
            context.wait(cx);
            Poll::Pending
        });
        polled.unwrap_or_else(|fault| Poll::Ready(self.failed(fault, way, None, false)))
    }

    /// Tells the filter that a side has closed: its peer did, or gofe.
    pub fn closed(&mut self, way: Way, by_peer: bool) {
        // `proxy_peer_type_t`.
        let who = if by_peer { 2 } else { 1 };
        let told = self.timed(PluginMetrics::CONNECTION, |vm, context| {
            vm.call(*context, |exports| exports.closed(way), (*context, who)).map(drop)
        });
        if let Err(fault) = told {
            tracing::warn!(plugin = self.name(), kind = fault.kind.name(), "plugin failed: {}", fault.message);
        }
    }

    fn poll_let_in(&self, cx: &TaskContext<'_>) -> Poll<Result<(), Fault>> {
        let waiting = self.look(|context| {
            let waits = !context.closed && !std::mem::take(&mut context.resumed[Way::Downstream as usize]);
            if waits {
                context.wait(cx);
            }
            waits
        });
        match waiting {
            Ok(true) => Poll::Pending,
            Ok(false) => Poll::Ready(Ok(())),
            Err(fault) => Poll::Ready(Err(fault)),
        }
    }

    /// What the filter held back when its VM ended, and what it has not seen.
    fn failed(&self, fault: Fault, way: Way, unseen: Option<BytesMut>, end: bool) -> Passing {
        let orphan = self.slot.orphan(self.serial, self.context);
        let (mut held, ended) = match orphan {
            Some(mut bytes) => {
                let taken = bytes.take(way);
                // The other side comes for its own.
                self.slot.leave(self.serial, self.context, bytes);
                taken
            }
            None => (BytesMut::new(), false),
        };
        held.extend_from_slice(&unseen.unwrap_or_default());
        Passing::Fault(fault, held, end || ended)
    }

    /// Looks at the context, without a call.
    fn look<T>(&self, look: impl FnOnce(&mut Context) -> T) -> Result<T, Fault> {
        let look = |vm: &mut Vm| vm.store.data_mut().contexts.get_mut(self.context).map(look);
        self.slot.look(self.serial, look).flatten().ok_or_else(lost)
    }

    /// Calls into the VM. It is counted, well or not.
    fn timed<T>(&mut self, phase: usize, call: impl FnOnce(&mut Vm, &mut u32) -> Result<T, Fault>) -> Result<T, Fault> {
        let begun = Instant::now();
        let context = &mut self.context;
        let called = self.slot.try_with(self.serial, |vm| call(vm, context)).unwrap_or_else(|| Err(lost()));
        let (metrics, worker) = (&self.code.env.metrics, self.slot.worker);
        let took = begun.elapsed();
        self.long = super::is_long(took);
        metrics.call(worker, phase, took);
        if let Err(fault) = &called {
            metrics.fault(worker, fault.kind.name());
        }
        called
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        drop(self.slot.orphan(self.serial, self.context));
        // One that no place was found for was not begun.
        if self.context != 0 {
            self.slot.end(self.serial, self.context);
        }
    }
}

/// What a call with bytes came to.
enum Seen {
    On(BytesMut, bool),
    Held,
    Closed,
    TooMuch,
    Nothing,
}
