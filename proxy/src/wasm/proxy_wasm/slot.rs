//! The place of a VM: one for each worker. A VM that failed leaves it, and the next request finds a new one there.

use std::any::Any;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::super::LoadError;
use super::Code;
use super::callout;
use super::connection;
use super::stream::{self, Flow, side};
use super::vm::Vm;
use crate::chain::{Exchange, Fault, FaultKind, Outcome, Phase, State};

/// The least time between a VM's failure and the start of the next one that no request asked for.
const RECOVERY: Duration = Duration::from_secs(1);

/// The place of one worker's VM.
pub(super) struct Slot {
    pub(super) code: Arc<Code>,
    /// The worker.
    pub(super) worker: usize,
    inner: Mutex<Inner>,
    /// Ticks, queues or callouts have changed.
    changed: Notify,
    /// Queues that have new items.
    ready: Mutex<Vec<u32>>,
    /// One VM is started at a time.
    renewal: tokio::sync::Mutex<()>,
}

pub(super) struct Inner {
    vm: Option<Box<Vm>>,
    /// How many VMs there were.
    serial: u64,
    /// Requests that were lent to a VM that has ended: their streams come for them.
    orphans: Vec<(u64, u32, Box<State>)>,
    /// Connections that such a VM had: the same.
    connections: Vec<(u64, u32, Box<connection::Bytes>)>,
    /// Whether callouts can be begun here: not while the plugin is loaded, which no worker does.
    attended: bool,
    tick: Option<Duration>,
}

/// A stream, as the request's exchange keeps it.
struct Stream {
    slot: Arc<Slot>,
    serial: u64,
    context: u32,
    over: bool,
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.over {
            self.slot.end(self.serial, self.context);
        }
    }
}

/// What became of a phase that was entered.
pub(super) enum Entered {
    Done(Outcome),
    Paused(u64, u32),
    /// There is no VM.
    Vacant,
}

impl Slot {
    pub(super) fn new(code: &Arc<Code>, worker: usize) -> Arc<Self> {
        let inner =
            Inner { vm: None, serial: 0, orphans: Vec::new(), connections: Vec::new(), attended: false, tick: None };
        Arc::new(Self {
            code: code.clone(),
            worker,
            inner: Mutex::new(inner),
            changed: Notify::new(),
            ready: Mutex::default(),
            renewal: tokio::sync::Mutex::default(),
        })
    }

    /// Starts a VM where there is none.
    pub(super) fn start(self: &Arc<Self>) -> Result<(), LoadError> {
        let serial = {
            let mut inner = self.inner.lock();
            if inner.vm.is_some() {
                return Ok(());
            }
            inner.serial += 1;
            inner.serial
        };
        // Not under the lock: a worker that looks for a VM must not wait for one that configures itself.
        let vm = Vm::start(&self.code, Arc::downgrade(self), serial)?;
        let mut inner = self.inner.lock();
        if inner.vm.is_none() {
            inner.vm = Some(vm);
            inner.settle(self);
        }
        Ok(())
    }

    /// Starts a VM where there is none, off the worker: configuring may take its time.
    pub(super) async fn renew(self: &Arc<Self>) -> Result<(), LoadError> {
        let _turn = self.renewal.lock().await;
        if self.inner.lock().vm.is_some() {
            return Ok(());
        }
        let slot = self.clone();
        let started = tokio::task::spawn_blocking(move || slot.start()).await;
        started.unwrap_or_else(|error| Err(LoadError::Failed(error.to_string())))
    }

    /// Runs the callbacks of a phase with the exchange lent to the stream's context.
    pub(super) fn enter(self: &Arc<Self>, identity: usize, phase: Phase, exchange: &mut Exchange) -> Entered {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let lease = exchange.leases.iter_mut().find(|(plugin, _)| *plugin == identity);
        let known = lease.and_then(|(_, lease)| <dyn Any>::downcast_mut::<Stream>(&mut **lease));
        let known = known.map(|stream| {
            // The last phase is the stream's end, also when it fails.
            stream.over |= phase == Phase::Complete;
            (stream.serial, stream.context)
        });
        let Some(vm) = &mut inner.vm else {
            return if known.is_some() { Entered::Done(gone(phase)) } else { Entered::Vacant };
        };
        let created = match known {
            Some((serial, _)) if serial != vm.serial => return Entered::Done(gone(phase)),
            Some((_, context)) => Ok(context),
            None if phase == Phase::Complete => return Entered::Done(Outcome::Continue),
            None => {
                let Some((context, _)) = vm.store.data_mut().contexts.open() else {
                    return Entered::Done(Outcome::Fault(crowded()));
                };
                let stream = Stream { slot: self.clone(), serial: vm.serial, context, over: false };
                exchange.leases.push((identity, Box::new(stream)));
                vm.create(context).map(|()| context)
            }
        };
        let (context, flow) = match created {
            Ok(context) => {
                if let Some(stream) = vm.store.data_mut().contexts.get_mut(context) {
                    stream.state = Some(exchange.lend());
                }
                (context, vm.phase(context, phase))
            }
            Err(fault) => (0, Err(fault)),
        };
        if matches!(flow, Ok(Flow::Paused)) {
            let serial = vm.serial;
            inner.settle(self);
            return Entered::Paused(serial, context);
        }
        if let Some(stream) = vm.store.data_mut().contexts.get_mut(context) {
            if let Some(state) = stream.state.take() {
                exchange.restore(state);
            }
            if phase == Phase::Complete && !stream.pending {
                vm.store.data_mut().contexts.remove(context);
            }
        }
        let ended = match flow {
            Ok(Flow::Fault(fault)) => {
                inner.settle(self);
                return Entered::Done(Outcome::Fault(fault));
            }
            Ok(flow) => {
                inner.settle(self);
                return Entered::Done(outcome(&flow, exchange));
            }
            Err(fault) => (inner.fail(), fault),
        };
        drop(guard);
        let (failed, fault) = ended;
        drop(failed);
        self.changed.notify_one();
        Entered::Done(Outcome::Fault(fault))
    }

    /// Waits until the guest lets a paused stream go on.
    pub(super) async fn wait(
        self: &Arc<Self>,
        (serial, context): (u64, u32),
        phase: Phase,
        exchange: &mut Exchange,
        most: Option<Duration>,
    ) -> Outcome {
        let mut lent = Lent { slot: self, serial, context, exchange };
        let settled = poll_fn(|cx| lent.poll(phase, cx));
        let flow = match most {
            None => settled.await,
            Some(most) => timeout(most, settled).await.unwrap_or_else(|_| {
                let message = format!("it paused the request for longer than the route's timeout of {most:?}");
                Flow::Fault(Fault { kind: FaultKind::Deadline, message })
            }),
        };
        drop(lent);
        match flow {
            Flow::Fault(fault) => Outcome::Fault(fault),
            flow => outcome(&flow, exchange),
        }
    }

    /// How long the route gives a paused request.
    pub(super) fn timeout(&self, serial: u64, context: u32) -> Option<Duration> {
        let inner = self.inner.lock();
        let vm = inner.vm.as_ref().filter(|vm| vm.serial == serial)?;
        vm.store.data().contexts.get(context)?.state.as_deref().map(|state| state.timeout)
    }

    /// A stream is over whose last phase did not run.
    pub(super) fn end(self: &Arc<Self>, serial: u64, context: u32) {
        self.with(serial, "the end of a stream", |vm| vm.end(context));
    }

    /// Calls into the VM for what is not a phase of a stream, and says so where that fails.
    pub(super) fn with(self: &Arc<Self>, serial: u64, what: &str, call: impl FnOnce(&mut Vm) -> Result<(), Fault>) {
        if let Some(Err(fault)) = self.try_with(serial, call) {
            let env = &self.code.env;
            env.metrics.fault(0, fault.kind.name());
            warn!(plugin = &*env.name, kind = fault.kind.name(), "plugin failed: {what}: {}", fault.message);
        }
    }

    /// Calls into the VM, which ends when that fails; nothing where it has ended already.
    pub(super) fn try_with<T>(
        self: &Arc<Self>,
        serial: u64,
        call: impl FnOnce(&mut Vm) -> Result<T, Fault>,
    ) -> Option<Result<T, Fault>> {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let vm = inner.vm.as_mut().filter(|vm| vm.serial == serial)?;
        let called = call(vm);
        inner.settle(self);
        if called.is_err() {
            let failed = inner.fail();
            drop(guard);
            drop(failed);
            self.changed.notify_one();
        }
        Some(called)
    }

    /// Looks into the VM without a call; nothing where it has ended.
    pub(super) fn look<T>(&self, serial: u64, look: impl FnOnce(&mut Vm) -> T) -> Option<T> {
        self.inner.lock().vm.as_mut().filter(|vm| vm.serial == serial).map(|vm| look(vm))
    }

    /// Which VM is here.
    pub(super) fn serial(&self) -> Option<u64> {
        self.inner.lock().vm.as_ref().map(|vm| vm.serial)
    }

    /// A connection whose VM has ended.
    pub(super) fn orphan(&self, serial: u64, context: u32) -> Option<Box<connection::Bytes>> {
        let connections = &mut self.inner.lock().connections;
        let at = connections.iter().position(|(of, at, _)| *of == serial && *at == context)?;
        Some(connections.swap_remove(at).2)
    }

    /// Leaves it there for who comes next.
    pub(super) fn leave(&self, serial: u64, context: u32, bytes: Box<connection::Bytes>) {
        self.inner.lock().connections.push((serial, context, bytes));
    }

    /// A queue of the VM has new items. Any thread says so.
    pub(super) fn queue_ready(&self, queue: u32) {
        self.ready.lock().push(queue);
        self.changed.notify_one();
    }

    /// Serves the VM on its worker: ticks, queues and callouts, until the future is dropped.
    pub(super) async fn attend(self: Arc<Self>) {
        let mut last = Instant::now();
        loop {
            if self.inner.lock().vm.is_none() {
                tokio::time::sleep(RECOVERY).await;
                if let Err(error) = self.renew().await {
                    warn!(plugin = &*self.code.env.name, "its VM does not start again: {error}");
                    continue;
                }
            }
            let (serial, tick) = {
                let mut inner = self.inner.lock();
                inner.attended = true;
                inner.settle(&self);
                (inner.serial, inner.tick)
            };
            let ready = std::mem::take(&mut *self.ready.lock());
            for queue in ready {
                self.with(serial, "on_queue_ready", |vm| vm.queue_ready(queue));
            }
            let next = tick.map(|tick| last + tick);
            tokio::select! {
                () = self.changed.notified() => {}
                () = until(next) => {
                    last = Instant::now();
                    self.with(serial, "on_tick", Vm::tick);
                }
            }
        }
    }

    /// The plugin goes, with its VM.
    pub(super) fn stop(&self) {
        let vm = self.inner.lock().vm.take();
        if let Some(mut vm) = vm {
            for (_, callout) in vm.store.data_mut().callouts.drain() {
                callout.abort();
            }
            if let Err(fault) = vm.stop() {
                warn!(plugin = &*self.code.env.name, kind = fault.kind.name(), "its end: {}", fault.message);
            }
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

impl Inner {
    /// After each call: begins callouts, and looks whether the tick has changed.
    fn settle(&mut self, slot: &Arc<Slot>) {
        let Some(vm) = &mut self.vm else { return };
        let host = vm.store.data_mut();
        if host.tick != self.tick {
            self.tick = host.tick;
            slot.changed.notify_one();
        }
        if !host.outbox.is_empty() && self.attended {
            callout::begin(slot, vm);
        }
    }

    /// The VM failed: what it was lent goes back to whoever waits for it. The VM itself is given back, to be dropped
    /// when nobody is locked.
    fn fail(&mut self) -> Option<Box<Vm>> {
        let mut vm = self.vm.take()?;
        self.tick = None;
        let serial = vm.serial;
        let host = vm.store.data_mut();
        for (_, callout) in host.callouts.drain() {
            callout.abort();
        }
        for (context, mut stream) in host.contexts.drain() {
            if let Some(state) = stream.state.take() {
                self.orphans.push((serial, context, state));
            }
            if let Some(bytes) = stream.bytes.take() {
                self.connections.push((serial, context, bytes));
            }
            stream.wake();
        }
        Some(vm)
    }
}

/// What a flow is to the runner.
fn outcome(flow: &Flow, exchange: &Exchange) -> Outcome {
    match flow {
        Flow::Respond => Outcome::Respond,
        _ if exchange.reply.is_some() => Outcome::Respond,
        _ => Outcome::Continue,
    }
}

/// The failure of a stream whose VM another stream's call has ended. Its own end is none: there is nothing left to end.
fn gone(phase: Phase) -> Outcome {
    if phase == Phase::Complete {
        return Outcome::Continue;
    }
    Outcome::Fault(lost())
}

/// The same of a connection.
pub(super) fn lost() -> Fault {
    let message = "the VM that served this request ended by a failure in another call".to_owned();
    Fault { kind: FaultKind::Unavailable, message }
}

/// A VM has no place for another stream.
pub(super) fn crowded() -> Fault {
    Fault { kind: FaultKind::Unavailable, message: "its VM serves as many requests as it can".to_owned() }
}

/// The exchange of a paused stream: it comes back when this is dropped, also when the client went away.
struct Lent<'a> {
    slot: &'a Arc<Slot>,
    serial: u64,
    context: u32,
    exchange: &'a mut Exchange,
}

impl Lent<'_> {
    fn poll(&mut self, phase: Phase, cx: &TaskContext<'_>) -> Poll<Flow> {
        let mut inner = self.slot.inner.lock();
        let vm = inner.vm.as_mut().filter(|vm| vm.serial == self.serial);
        let stream = vm.and_then(|vm| vm.store.data_mut().contexts.get_mut(self.context));
        let (Some(stream), Some(side)) = (stream, side(phase)) else {
            let Outcome::Fault(fault) = gone(phase) else { return Poll::Ready(Flow::Continue) };
            return Poll::Ready(Flow::Fault(fault));
        };
        if stream.closed || stream.state.as_deref().is_some_and(|state| state.reply.is_some()) {
            return Poll::Ready(stream::close(stream));
        }
        if !stream.resumed[side as usize] {
            stream.wait(cx);
            return Poll::Pending;
        }
        Poll::Ready(match phase {
            Phase::RequestBody | Phase::ResponseBody => {
                stream.resumed[side as usize] = false;
                stream::release(stream, side, &[])
            }
            _ => Flow::Continue,
        })
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut inner = self.slot.inner.lock();
        let vm = inner.vm.as_mut().filter(|vm| vm.serial == self.serial);
        let lent = vm.and_then(|vm| {
            let stream = vm.store.data_mut().contexts.get_mut(self.context)?;
            stream.waker = None;
            stream.state.take()
        });
        let lent = lent.or_else(|| {
            let of_this = |(serial, context, _): &(u64, u32, _)| *serial == self.serial && *context == self.context;
            let at = inner.orphans.iter().position(of_this)?;
            Some(inner.orphans.swap_remove(at).2)
        });
        if let Some(state) = lent {
            self.exchange.restore(state);
        }
    }
}

/// Tells of new items in a queue, as long as the VM's place is there.
pub(super) fn listener(slot: &Weak<Slot>) -> crate::store::Listener {
    let slot = slot.clone();
    Arc::new(move |queue| {
        if let Some(slot) = slot.upgrade() {
            slot.queue_ready(queue);
        }
    })
}
