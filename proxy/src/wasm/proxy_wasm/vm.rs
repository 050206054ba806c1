//! One VM: a store with one instance, its plugin context, and the streams of one worker.

use std::sync::{Arc, Weak};
use std::time::Duration;

use wasmtime::{Instance, Store, TypedFunc, WasmParams, WasmResults};

use super::super::limits::CONFIGURE_TIME;
use super::super::store::{self, Count, Guard};
use super::super::{Abi, LoadError};
use super::Code;
use super::data::{Event, Host};
use super::exports::Exports;
use super::slot::Slot;
use crate::chain::Fault;

/// One VM.
pub(super) struct Vm {
    pub(super) store: Store<Host>,
    pub(super) exports: Exports,
    /// Tells this VM from the one that takes its place.
    pub(super) serial: u64,
    time: Duration,
    count: Count,
}

/// The most streams whose end a guest may put off.
const MAX_PENDING: usize = 10_000;

impl Vm {
    /// Starts a VM, and lets the plugin read its configuration.
    pub(super) fn start(code: &Arc<Code>, slot: Weak<Slot>, serial: u64) -> Result<Box<Self>, LoadError> {
        let mut count = Count::new(&code.live, &code.env)?;
        let mut guard = Guard::new(code.env.clone(), code.engine.clock().clone());
        // One memory serves many streams, so a call is never left in the middle: another would find the guest in
        // disorder. It goes on to its end or to its deadline.
        guard.yields = false;
        let mut store = store::store(&code.engine, Host::new(guard, slot));
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
        let mut vm = Box::new(Self { store, exports, serial, time, count });
        vm.initialize(&instance).map_err(|fault| LoadError::Failed(fault.message))?;
        vm.configure()?;
        Ok(vm)
    }

    /// Runs what the toolchain wants to be run first.
    fn initialize(&mut self, instance: &Instance) -> Result<(), Fault> {
        let reactor = instance.get_typed_func::<(), ()>(&mut self.store, "_initialize").ok();
        if let Some(initialize) = reactor {
            enter(&mut self.store, &mut self.count, CONFIGURE_TIME, 0, &initialize, ())?;
            if let Ok(main) = instance.get_typed_func::<(u32, u32), u32>(&mut self.store, "main") {
                enter(&mut self.store, &mut self.count, CONFIGURE_TIME, 0, &main, (0, 0))?;
            }
        } else if let Ok(start) = instance.get_typed_func::<(), ()>(&mut self.store, "_start") {
            enter(&mut self.store, &mut self.count, CONFIGURE_TIME, 0, &start, ())?;
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
        self.run(CONFIGURE_TIME, root, |exports| exports.context_create.as_ref(), (root, 0)).map_err(failed)?;
        type Step = fn(&Exports) -> Option<&TypedFunc<(u32, u32), u32>>;
        let steps: [(&str, Step, usize, bool); 3] = [
            ("proxy_on_vm_start", |exports| exports.vm_start.as_ref(), env.vm_bytes().len(), false),
            ("proxy_validate_configuration", |exports| exports.validate.as_ref(), env.config_bytes().len(), true),
            ("proxy_on_configure", |exports| exports.configure.as_ref(), env.config_bytes().len(), true),
        ];
        for (name, callback, length, plugin) in steps {
            self.store.data_mut().event = if plugin { Event::Configure } else { Event::VmStart };
            let accepted = self.run(CONFIGURE_TIME, root, callback, (root, length as u32));
            self.store.data_mut().event = Event::None;
            if accepted.map_err(failed)? == Some(0) {
                return Err(refused(name));
            }
        }
        Ok(())
    }

    /// Calls a callback for a context; nothing where the guest does not have it. The callback is chosen here and not cloned:
    /// a function's handle shares what it is made of, which is paid for at each clone.
    pub(super) fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        context: u32,
        callback: impl for<'a> FnOnce(&'a Exports) -> Option<&'a TypedFunc<P, R>>,
        parameters: P,
    ) -> Result<Option<R>, Fault> {
        self.run(self.time, context, callback, parameters)
    }

    fn run<P: WasmParams, R: WasmResults>(
        &mut self,
        time: Duration,
        context: u32,
        callback: impl for<'a> FnOnce(&'a Exports) -> Option<&'a TypedFunc<P, R>>,
        parameters: P,
    ) -> Result<Option<R>, Fault> {
        let Some(callback) = callback(&self.exports) else { return Ok(None) };
        let result = enter(&mut self.store, &mut self.count, time, context, callback, parameters)?;
        let host = self.store.data();
        if !host.finished.is_empty() || !host.deferred.is_empty() {
            self.follow_up()?;
        }
        Ok(Some(result))
    }

    /// What a callback asked for, once it has ended.
    #[cold]
    fn follow_up(&mut self) -> Result<(), Fault> {
        for context in std::mem::take(&mut self.store.data_mut().finished) {
            self.remove(context)?;
        }
        let root = self.store.data().root;
        for (function, arguments) in std::mem::take(&mut self.store.data_mut().deferred) {
            let length = arguments.len() as u32;
            self.store.data_mut().event = Event::Foreign(arguments);
            let called = self.call(root, |exports| exports.foreign.as_ref(), (root, function, length));
            self.store.data_mut().event = Event::None;
            called?;
        }
        Ok(())
    }

    /// Tells the guest of a new stream.
    pub(super) fn create(&mut self, context: u32) -> Result<(), Fault> {
        let root = self.store.data().root;
        self.call(context, |exports| exports.context_create.as_ref(), (context, root)).map(drop)
    }

    /// A stream, or the plugin context, is over: the guest says whether it may go.
    pub(super) fn end(&mut self, context: u32) -> Result<(), Fault> {
        let done = self.call(context, |exports| exports.done.as_ref(), context)? != Some(0);
        let host = self.store.data_mut();
        if done || host.pending >= MAX_PENDING {
            return self.remove(context);
        }
        if context == host.root {
            host.root_pending = true;
        } else if let Some(stream) = host.contexts.get_mut(context) {
            stream.pending = true;
            host.pending += 1;
        }
        Ok(())
    }

    /// The last callbacks of a context.
    fn remove(&mut self, context: u32) -> Result<(), Fault> {
        self.call(context, |exports| exports.log.as_ref(), context)?;
        self.call(context, |exports| exports.delete.as_ref(), context)?;
        let host = self.store.data_mut();
        // The state goes back to its exchange.
        if let Some(stream) = host.contexts.get(context)
            && stream.state.is_none()
        {
            host.pending -= usize::from(stream.pending);
            host.contexts.remove(context);
        }
        Ok(())
    }

    /// The plugin goes.
    pub(super) fn stop(&mut self) -> Result<(), Fault> {
        let root = self.store.data().root;
        self.end(root)
    }
}

/// Calls a function for a context, within a time.
fn enter<P: WasmParams, R: WasmResults>(
    store: &mut Store<Host>,
    count: &mut Count,
    time: Duration,
    context: u32,
    function: &TypedFunc<P, R>,
    parameters: P,
) -> Result<R, Fault> {
    store::begin(store, time);
    let host = store.data_mut();
    (host.current, host.effective) = (context, 0);
    let called = function.call(&mut *store, parameters);
    let host = store.data_mut();
    (host.current, host.effective) = (0, 0);
    count.memory(host.memory.used);
    called.map_err(|error| store::fault(store, &error))
}

fn allocator(instance: &Instance, store: &mut Store<Host>, abi: Abi) -> Result<Option<TypedFunc<u32, u32>>, LoadError> {
    let found = ["proxy_on_memory_allocate", "malloc"];
    let found = found.into_iter().find_map(|name| instance.get_typed_func::<u32, u32>(&mut *store, name).ok());
    match found {
        Some(allocate) => Ok(Some(allocate)),
        None => Err(LoadError::abi(abi, "it exports neither `proxy_on_memory_allocate` nor `malloc`".to_owned())),
    }
}
