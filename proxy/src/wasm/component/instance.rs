//! One instance of a guest, and a call of it.

use std::sync::Arc;

use wasmtime::{Store, WasmParams, WasmResults, component};

use super::super::lent::{Borrower, Lent};
use super::super::limits::CONFIGURE_TIME;
use super::super::pace::call;
use super::super::store::{Count, begin, fault, store};
use super::abi::Core;
use super::configure::{self, Configured};
use super::guest::Guest;
use super::linked::{ComponentCode, CoreCode, Linked};
use super::{LoadError, Plugin};
use crate::chain::{Exchange, Fault, Phase, State};

/// One instance.
pub(super) struct Instance {
    store: Store<Guest>,
    entry: Entry,
    /// Whether its calls run on stacks of their own, which yield at each tick.
    yields: bool,
    count: Count,
}

/// The functions of a guest, found when they are first called.
#[expect(clippy::large_enum_variant, reason = "an instance is boxed, and most are core modules")]
enum Entry {
    Component {
        instance: component::Instance,
        headers: [Option<component::TypedFunc<(), ()>>; Phase::ALL.len()],
        bodies: [Option<component::TypedFunc<(bool,), ()>>; 2],
    },
    Core {
        instance: wasmtime::Instance,
        headers: [Option<wasmtime::TypedFunc<(), ()>>; Phase::ALL.len()],
        bodies: [Option<wasmtime::TypedFunc<(u32,), ()>>; 2],
    },
}

impl Plugin {
    /// Makes an instance; it is not configured yet.
    pub(super) async fn instantiate(&self) -> Result<Box<Instance>, LoadError> {
        let count = Count::new(&self.live, &self.env)?;
        let wasi = matches!(&self.code, Linked::Component(ComponentCode { wasi: true, .. }));
        let guest = Guest::new(self.env.clone(), self.engine.clock().clone(), wasi);
        let mut store = store(&self.engine, guest);
        let yields = self.pace.yields();
        store.data_mut().yields = yields;
        let entry = match &self.code {
            Linked::Component(code) => enter_component(code, &mut store).await,
            Linked::Core(code) => enter_core(code, &mut store, yields).await,
        };
        match entry {
            Ok(entry) => Ok(Box::new(Instance { store, entry, yields, count })),
            Err(error) => Err(LoadError::Failed(fault(&store, &error).message)),
        }
    }
}

async fn enter_component(code: &ComponentCode, store: &mut Store<Guest>) -> wasmtime::Result<Entry> {
    let instance = code.pre.instantiate_async(store).await?;
    Ok(Entry::Component { instance, headers: [const { None }; Phase::ALL.len()], bodies: [None, None] })
}

async fn enter_core(code: &CoreCode, store: &mut Store<Guest>, yields: bool) -> wasmtime::Result<Entry> {
    let instance = match &code.direct {
        Some(pre) if !yields => pre.instantiate(&mut *store)?,
        _ => code.yielding.instantiate_async(&mut *store).await?,
    };
    let memory = instance.get_module_export(&mut *store, &code.runtime.memory).and_then(wasmtime::Extern::into_memory);
    let memory = memory.ok_or_else(|| wasmtime::format_err!("its export `memory` is no memory"))?;
    let realloc = function(instance, store, &code.runtime.realloc)?;
    store.data_mut().core = Some(Arc::new(Core { memory, realloc }));
    if let Some(initialize) = &code.runtime.initialize {
        let initialize = function::<(), ()>(instance, store, initialize)?;
        call(&initialize, store, (), yields).await?;
    }
    Ok(Entry::Core { instance, headers: [const { None }; Phase::ALL.len()], bodies: [None, None] })
}

impl Instance {
    /// Whether its calls run on stacks of their own.
    pub(super) fn yields(&self) -> bool {
        self.yields
    }

    /// Whether the last call took longer than a tick.
    pub(super) fn overran(&self) -> bool {
        self.store.data().budget.overran()
    }

    /// Calls a phase with the exchange lent to the guest.
    pub(super) async fn call(&mut self, phase: Phase, code: &Linked, exchange: &mut Exchange) -> Result<(), Fault> {
        let lent = Lent::new(self, exchange);
        lent.instance.run(phase, code).await
    }

    /// Calls the timer phase.
    pub(super) async fn tick(&mut self, code: &Linked) -> Result<(), Fault> {
        self.begin();
        let called = self.call_tick(code).await;
        self.end(called)
    }

    async fn call_tick(&mut self, code: &Linked) -> wasmtime::Result<()> {
        match (&self.entry, code) {
            (Entry::Component { instance, .. }, Linked::Component(ComponentCode { exports, .. })) => {
                let Some(export) = &exports.tick else { return Ok(()) };
                let tick = instance.get_typed_func::<(), ()>(&mut self.store, export)?;
                tick.call_async(&mut self.store, ()).await
            }
            (Entry::Core { instance, .. }, Linked::Core(CoreCode { exports, .. })) => {
                let Some(export) = &exports.tick else { return Ok(()) };
                let tick = function(*instance, &mut self.store, &export.function)?;
                call(&tick, &mut self.store, (), self.yields).await
            }
            _ => Ok(()),
        }
    }

    /// Calls `configure`, with the time that this may take.
    pub(super) async fn configure(&mut self, code: &Linked) -> Result<Configured, Fault> {
        begin(&mut self.store, CONFIGURE_TIME);
        let called = self.call_configure(code).await;
        self.store.data_mut().configuring = false;
        self.end(called)
    }

    async fn call_configure(&mut self, code: &Linked) -> wasmtime::Result<Configured> {
        let env = self.store.data().env.clone();
        let store = &mut self.store;
        match (&self.entry, code) {
            (Entry::Component { instance, .. }, Linked::Component(ComponentCode { exports, .. })) => {
                let configure = instance.get_typed_func::<(&str,), (Configured,)>(&mut *store, &exports.configure)?;
                configure.call_async(store, (&env.config,)).await.map(|(configured,)| configured)
            }
            (Entry::Core { instance, .. }, Linked::Core(CoreCode { exports, .. })) => {
                let configure = function::<(u32, u32), u32>(*instance, store, &exports.configure.function)?;
                let core = store.data().core.clone();
                let core = core.ok_or_else(|| wasmtime::format_err!("the instance is not ready"))?;
                let Core { memory, realloc } = &*core;
                let length = u32::try_from(env.config.len())?;
                let text = call(realloc, store, (0, 0, 1, length), self.yields).await?;
                memory.write(&mut *store, text as usize, env.config.as_bytes())?;
                let result = call(&configure, store, (text, length), self.yields).await?;
                let configured = configure::read(memory.data(&*store), result)?;
                if let Some(post) = &exports.configure.post {
                    let post = function::<u32, ()>(*instance, store, post)?;
                    call(&post, store, result, self.yields).await?;
                }
                Ok(configured)
            }
            _ => wasmtime::bail!("the instance is of another plugin"),
        }
    }

    async fn run(&mut self, phase: Phase, code: &Linked) -> Result<(), Fault> {
        self.begin();
        let called = match phase {
            Phase::RequestBody | Phase::ResponseBody => self.run_body(phase, code).await,
            _ => self.run_headers(phase, code).await,
        };
        self.end(called)
    }

    async fn run_headers(&mut self, phase: Phase, code: &Linked) -> wasmtime::Result<()> {
        let (store, at) = (&mut self.store, phase as usize);
        match &mut self.entry {
            Entry::Component { instance, headers, .. } => {
                let known = match headers[at] {
                    Some(known) => known,
                    None => {
                        let Some(export) = code.component_phase(phase) else { return Ok(()) };
                        *headers[at].insert(instance.get_typed_func(&mut *store, export)?)
                    }
                };
                known.call_async(store, ()).await
            }
            Entry::Core { instance, headers, .. } => {
                let slot = &mut headers[at];
                if slot.is_none() {
                    let Some(export) = code.core_phase(phase) else { return Ok(()) };
                    *slot = Some(function(*instance, store, &export.function)?);
                }
                let Some(known) = slot else { return Ok(()) };
                call(known, store, (), self.yields).await
            }
        }
    }

    async fn run_body(&mut self, phase: Phase, code: &Linked) -> wasmtime::Result<()> {
        let end = self.store.data().state.as_ref().is_some_and(|state| state.body_end);
        let (store, at) = (&mut self.store, usize::from(phase == Phase::ResponseBody));
        match &mut self.entry {
            Entry::Component { instance, bodies, .. } => {
                let known = match bodies[at] {
                    Some(known) => known,
                    None => {
                        let Some(export) = code.component_phase(phase) else { return Ok(()) };
                        *bodies[at].insert(instance.get_typed_func(&mut *store, export)?)
                    }
                };
                known.call_async(store, (end,)).await
            }
            Entry::Core { instance, bodies, .. } => {
                let slot = &mut bodies[at];
                if slot.is_none() {
                    let Some(export) = code.core_phase(phase) else { return Ok(()) };
                    *slot = Some(function(*instance, store, &export.function)?);
                }
                let Some(known) = slot else { return Ok(()) };
                call(known, store, (u32::from(end),), self.yields).await
            }
        }
    }

    fn begin(&mut self) {
        let time = self.store.data().env.limits.time;
        begin(&mut self.store, time);
    }

    fn end<R>(&mut self, called: wasmtime::Result<R>) -> Result<R, Fault> {
        self.count.memory(self.store.data().memory.used);
        called.map_err(|error| fault(&self.store, &error))
    }
}

/// A function that a core module exports.
fn function<P: WasmParams, R: WasmResults>(
    instance: wasmtime::Instance,
    store: &mut Store<Guest>,
    export: &wasmtime::ModuleExport,
) -> wasmtime::Result<wasmtime::TypedFunc<P, R>> {
    let found = instance.get_module_export(&mut *store, export).and_then(wasmtime::Extern::into_func);
    found.ok_or_else(|| wasmtime::format_err!("an export is no function"))?.typed(&*store)
}

impl Borrower for Instance {
    fn state(&mut self) -> &mut Option<Box<State>> {
        &mut self.store.data_mut().state
    }
}
