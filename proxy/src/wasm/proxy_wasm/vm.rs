//! One VM: a store with one instance, its plugin context, and the streams of one worker.

use std::sync::{Arc, Weak};
use std::time::Duration;

use wasmtime::{Instance, Store, TypedFunc, UpdateDeadline, WasmParams, WasmResults};

use super::super::limits::CONFIGURE_TIME;
use super::super::store::{self, Count, Guard};
use super::super::{Abi, LoadError};
use super::Code;
use super::data::{Event, Host};
use super::slot::Slot;
use crate::chain::Fault;

/// One VM.
pub(super) struct Vm {
    pub(super) store: Store<Host>,
    pub(super) exports: Exports,
    /// Tells this VM from the one that takes its place.
    pub(super) serial: u64,
    time: Duration,
    next_context: u32,
    count: Count,
}

/// The callbacks that a guest exports, looked up once.
pub(super) struct Exports {
    context_create: Option<TypedFunc<(u32, u32), ()>>,
    vm_start: Option<TypedFunc<(u32, u32), u32>>,
    validate: Option<TypedFunc<(u32, u32), u32>>,
    configure: Option<TypedFunc<(u32, u32), u32>>,
    pub(super) request_headers: Option<Headers>,
    pub(super) request_body: Option<TypedFunc<(u32, u32, u32), u32>>,
    pub(super) request_trailers: Option<TypedFunc<(u32, u32), u32>>,
    pub(super) response_headers: Option<Headers>,
    pub(super) response_body: Option<TypedFunc<(u32, u32, u32), u32>>,
    pub(super) response_trailers: Option<TypedFunc<(u32, u32), u32>>,
    pub(super) done: Option<TypedFunc<u32, u32>>,
    pub(super) log: Option<TypedFunc<u32, ()>>,
    delete: Option<TypedFunc<u32, ()>>,
    pub(super) tick: Option<TypedFunc<u32, ()>>,
    pub(super) queue_ready: Option<TypedFunc<(u32, u32), ()>>,
    pub(super) http_call: Option<HttpCallDone>,
    pub(super) grpc_initial: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub(super) grpc_receive: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub(super) grpc_trailing: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub(super) grpc_close: Option<TypedFunc<(u32, u32, u32), ()>>,
    foreign: Option<TypedFunc<(u32, u32, u32), ()>>,
}

/// Context, call, and the numbers of header fields, bytes of the body and trailers.
pub(super) type HttpCallDone = TypedFunc<(u32, u32, u32, u32, u32), ()>;

/// A callback for headers: 0.1.0 does not say whether a body follows.
#[derive(Clone)]
pub(super) enum Headers {
    V01(TypedFunc<(u32, u32), u32>),
    V02(TypedFunc<(u32, u32, u32), u32>),
}

/// The most streams whose end a guest may put off.
const MAX_PENDING: usize = 10_000;

impl Vm {
    /// Starts a VM, and lets the plugin read its configuration.
    pub(super) fn start(code: &Arc<Code>, slot: Weak<Slot>, serial: u64) -> Result<Box<Self>, LoadError> {
        let mut count = Count::new(&code.live, &code.env)?;
        let guard = Guard::new(code.env.clone(), code.engine.clock().clone());
        let mut store = store::store(&code.engine, Host::new(guard, slot));
        // One memory serves many streams, so a call is never left in the middle: another would find the guest in
        // disorder. It goes on to its end or to its deadline.
        store.epoch_deadline_callback(|mut cx| {
            let host = cx.data_mut();
            host.clock.wake();
            Ok(if host.budget.tick() { UpdateDeadline::Continue(1) } else { UpdateDeadline::Interrupt })
        });
        let instance = match code.pre.instantiate(&mut store) {
            Ok(instance) => instance,
            Err(error) => return Err(LoadError::Failed(store::fault(&store, &error).message)),
        };
        let exports = Exports::of(&instance, &mut store).map_err(|reason| LoadError::abi(code.abi, reason))?;
        let linear = instance.get_memory(&mut store, "memory");
        if linear.is_none() {
            return Err(LoadError::abi(code.abi, "it does not export its memory as `memory`".to_owned()));
        }
        store.data_mut().linear = linear;
        store.data_mut().allocate = allocator(&instance, &mut store, code.abi)?;
        count.memory(store.data().memory.used);
        let time = code.env.limits.time;
        let mut vm = Box::new(Self { store, exports, serial, time, next_context: 1, count });
        vm.initialize(&instance).map_err(|fault| LoadError::Failed(fault.message))?;
        vm.configure()?;
        Ok(vm)
    }

    /// Runs what the toolchain wants to be run first.
    fn initialize(&mut self, instance: &Instance) -> Result<(), Fault> {
        let reactor = instance.get_typed_func::<(), ()>(&mut self.store, "_initialize").ok();
        if let Some(initialize) = reactor {
            self.run(CONFIGURE_TIME, 0, &initialize, ())?;
            if let Ok(main) = instance.get_typed_func::<(u32, u32), u32>(&mut self.store, "main") {
                self.run(CONFIGURE_TIME, 0, &main, (0, 0))?;
            }
        } else if let Ok(start) = instance.get_typed_func::<(), ()>(&mut self.store, "_start") {
            self.run(CONFIGURE_TIME, 0, &start, ())?;
        }
        Ok(())
    }

    fn configure(&mut self) -> Result<(), LoadError> {
        let root = self.store.data().root;
        let env = self.store.data().env.clone();
        let failed = |fault: Fault| LoadError::Failed(fault.message);
        let refused = |callback: &str| {
            let message = format!("the plugin refuses it: {callback} returned false. Its lines in the log may say why");
            LoadError::Configuration(vec![(String::new(), message)])
        };
        if let Some(create) = self.exports.context_create.clone() {
            self.run(CONFIGURE_TIME, root, &create, (root, 0)).map_err(failed)?;
        }
        let steps = [
            ("proxy_on_vm_start", self.exports.vm_start.clone(), env.vm_bytes().len(), false),
            ("proxy_validate_configuration", self.exports.validate.clone(), env.config_bytes().len(), true),
            ("proxy_on_configure", self.exports.configure.clone(), env.config_bytes().len(), true),
        ];
        for (name, callback, length, plugin) in steps {
            let Some(callback) = callback else { continue };
            self.store.data_mut().event = if plugin { Event::Configure } else { Event::VmStart };
            let accepted = self.run(CONFIGURE_TIME, root, &callback, (root, length as u32));
            self.store.data_mut().event = Event::None;
            if accepted.map_err(failed)? == 0 {
                return Err(refused(name));
            }
        }
        Ok(())
    }

    /// Calls a callback for a context.
    pub(super) fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        context: u32,
        callback: &TypedFunc<P, R>,
        parameters: P,
    ) -> Result<R, Fault> {
        self.run(self.time, context, callback, parameters)
    }

    fn run<P: WasmParams, R: WasmResults>(
        &mut self,
        time: Duration,
        context: u32,
        callback: &TypedFunc<P, R>,
        parameters: P,
    ) -> Result<R, Fault> {
        store::begin(&mut self.store, time);
        let host = self.store.data_mut();
        host.current = context;
        host.effective = 0;
        let called = callback.call(&mut self.store, parameters);
        let host = self.store.data_mut();
        host.current = 0;
        host.effective = 0;
        host.allocating = false;
        self.count.memory(host.memory.used);
        let result = called.map_err(|error| store::fault(&self.store, &error))?;
        if !self.store.data().finished.is_empty() || !self.store.data().deferred.is_empty() {
            self.follow_up()?;
        }
        Ok(result)
    }

    /// What a callback asked for, once it has ended.
    #[cold]
    fn follow_up(&mut self) -> Result<(), Fault> {
        for context in std::mem::take(&mut self.store.data_mut().finished) {
            self.remove(context)?;
        }
        let root = self.store.data().root;
        for (function, arguments) in std::mem::take(&mut self.store.data_mut().deferred) {
            let Some(callback) = self.exports.foreign.clone() else { continue };
            let length = arguments.len() as u32;
            self.store.data_mut().event = Event::Foreign(arguments);
            let called = self.run(self.time, root, &callback, (root, function, length));
            self.store.data_mut().event = Event::None;
            called?;
        }
        Ok(())
    }

    /// The number of a new stream.
    pub(super) fn allocate(&mut self) -> u32 {
        loop {
            self.next_context = self.next_context.wrapping_add(1);
            let host = self.store.data();
            if self.next_context > host.root && !host.contexts.contains_key(&self.next_context) {
                return self.next_context;
            }
        }
    }

    /// Tells the guest of a new stream.
    pub(super) fn create(&mut self, context: u32) -> Result<(), Fault> {
        let root = self.store.data().root;
        match self.exports.context_create.clone() {
            Some(create) => self.call(context, &create, (context, root)),
            None => Ok(()),
        }
    }

    /// A stream, or the plugin context, is over: the guest says whether it may go.
    pub(super) fn end(&mut self, context: u32) -> Result<(), Fault> {
        let done = match self.exports.done.clone() {
            Some(done) => self.call(context, &done, context)? != 0,
            None => true,
        };
        let host = self.store.data_mut();
        if done || host.pending >= MAX_PENDING {
            return self.remove(context);
        }
        if context == host.root {
            host.root_pending = true;
        } else if let Some(stream) = host.contexts.get_mut(&context) {
            stream.pending = true;
            host.pending += 1;
        }
        Ok(())
    }

    /// The last callbacks of a context.
    fn remove(&mut self, context: u32) -> Result<(), Fault> {
        if let Some(log) = self.exports.log.clone() {
            self.call(context, &log, context)?;
        }
        if let Some(delete) = self.exports.delete.clone() {
            self.call(context, &delete, context)?;
        }
        let host = self.store.data_mut();
        // The state goes back to its exchange.
        if let Some(stream) = host.contexts.get(&context)
            && stream.state.is_none()
        {
            host.pending -= usize::from(stream.pending);
            host.contexts.remove(&context);
        }
        Ok(())
    }

    /// The plugin goes.
    pub(super) fn stop(&mut self) -> Result<(), Fault> {
        let root = self.store.data().root;
        self.end(root)
    }
}

fn allocator(instance: &Instance, store: &mut Store<Host>, abi: Abi) -> Result<Option<TypedFunc<u32, u32>>, LoadError> {
    let found = ["proxy_on_memory_allocate", "malloc"];
    let found = found.into_iter().find_map(|name| instance.get_typed_func::<u32, u32>(&mut *store, name).ok());
    match found {
        Some(allocate) => Ok(Some(allocate)),
        None => Err(LoadError::abi(abi, "it exports neither `proxy_on_memory_allocate` nor `malloc`".to_owned())),
    }
}

impl Exports {
    /// Finds the callbacks; one of another type than the ABI's is an error.
    fn of(instance: &Instance, store: &mut Store<Host>) -> Result<Self, String> {
        Ok(Self {
            context_create: find(instance, store, "proxy_on_context_create")?,
            vm_start: find(instance, store, "proxy_on_vm_start")?,
            validate: find(instance, store, "proxy_validate_configuration")?,
            configure: find(instance, store, "proxy_on_configure")?,
            request_headers: Headers::find(instance, store, "proxy_on_request_headers")?,
            request_body: find(instance, store, "proxy_on_request_body")?,
            request_trailers: find(instance, store, "proxy_on_request_trailers")?,
            response_headers: Headers::find(instance, store, "proxy_on_response_headers")?,
            response_body: find(instance, store, "proxy_on_response_body")?,
            response_trailers: find(instance, store, "proxy_on_response_trailers")?,
            done: find(instance, store, "proxy_on_done")?,
            log: find(instance, store, "proxy_on_log")?,
            delete: find(instance, store, "proxy_on_delete")?,
            tick: find(instance, store, "proxy_on_tick")?,
            queue_ready: find(instance, store, "proxy_on_queue_ready")?,
            http_call: find(instance, store, "proxy_on_http_call_response")?,
            grpc_initial: find(instance, store, "proxy_on_grpc_receive_initial_metadata")?,
            grpc_receive: find(instance, store, "proxy_on_grpc_receive")?,
            grpc_trailing: find(instance, store, "proxy_on_grpc_receive_trailing_metadata")?,
            grpc_close: find(instance, store, "proxy_on_grpc_close")?,
            foreign: find(instance, store, "proxy_on_foreign_function")?,
        })
    }
}

fn find<P: WasmParams, R: WasmResults>(
    instance: &Instance,
    store: &mut Store<Host>,
    name: &str,
) -> Result<Option<TypedFunc<P, R>>, String> {
    match instance.get_func(&mut *store, name) {
        None => Ok(None),
        Some(function) => function.typed(&*store).map(Some).map_err(|error| format!("its `{name}`: {error:#}")),
    }
}

impl Headers {
    fn find(instance: &Instance, store: &mut Store<Host>, name: &str) -> Result<Option<Self>, String> {
        match find(instance, store, name) {
            Ok(found) => Ok(found.map(Self::V02)),
            Err(reason) => match find(instance, store, name) {
                Ok(found) => Ok(found.map(Self::V01)),
                Err(_) => Err(reason),
            },
        }
    }
}
