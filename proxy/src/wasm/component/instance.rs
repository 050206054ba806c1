//! One instance of a guest, and a call of it.

use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, TypedFunc};

use super::super::lent::{Borrower, Lent};
use super::super::limits::CONFIGURE_TIME;
use super::super::store::{Count, begin, fault, store};
use super::guest::Guest;
use super::{LoadError, Plugin};
use crate::chain::{Exchange, Fault, Phase, State};

/// One instance.
pub(super) struct Instance {
    store: Store<Guest>,
    instance: wasmtime::component::Instance,
    headers: [Option<TypedFunc<(), ()>>; Phase::ALL.len()],
    bodies: [Option<TypedFunc<(bool,), ()>>; 2],
    count: Count,
}

impl Plugin {
    /// Makes an instance; it is not configured yet.
    pub(super) async fn instantiate(&self) -> Result<Box<Instance>, LoadError> {
        let count = Count::new(&self.live, &self.env)?;
        let guest = Guest::new(self.env.clone(), self.engine.clock().clone(), self.wasi);
        let mut store = store(&self.engine, guest);
        let instance = match self.pre.instantiate_async(&mut store).await {
            Ok(instance) => instance,
            Err(error) => return Err(LoadError::Failed(fault(&store, &error).message)),
        };
        let headers = [const { None }; Phase::ALL.len()];
        Ok(Box::new(Instance { store, instance, headers, bodies: [None, None], count }))
    }
}

impl Instance {
    /// Calls a phase with the exchange lent to the guest.
    pub(super) async fn call(
        &mut self,
        phase: Phase,
        export: &ComponentExportIndex,
        exchange: &mut Exchange,
    ) -> Result<(), Fault> {
        let lent = Lent::new(self, exchange);
        lent.instance.run(phase, export).await
    }

    /// Calls the timer phase.
    pub(super) async fn tick(&mut self, export: &ComponentExportIndex) -> Result<(), Fault> {
        self.begin();
        let called = match self.instance.get_typed_func::<(), ()>(&mut self.store, export) {
            Ok(tick) => tick.call_async(&mut self.store, ()).await,
            Err(error) => Err(error),
        };
        self.end(called)
    }

    /// Calls `configure`, with the time that this may take.
    pub(super) async fn configure<R>(&mut self, export: &ComponentExportIndex, config: &str) -> Result<R, Fault>
    where
        R: wasmtime::component::Lift + 'static,
        (R,): wasmtime::component::ComponentNamedList + wasmtime::component::Lift,
    {
        begin(&mut self.store, CONFIGURE_TIME);
        let called = match self.instance.get_typed_func::<(&str,), (R,)>(&mut self.store, export) {
            Ok(configure) => configure.call_async(&mut self.store, (config,)).await,
            Err(error) => Err(error),
        };
        self.store.data_mut().configuring = false;
        self.end(called).map(|(result,)| result)
    }

    async fn run(&mut self, phase: Phase, export: &ComponentExportIndex) -> Result<(), Fault> {
        self.begin();
        let called = match phase {
            Phase::RequestBody | Phase::ResponseBody => self.run_body(phase, export).await,
            _ => self.run_headers(phase, export).await,
        };
        self.end(called)
    }

    async fn run_headers(&mut self, phase: Phase, export: &ComponentExportIndex) -> wasmtime::Result<()> {
        let slot = &mut self.headers[phase as usize];
        if slot.is_none() {
            *slot = Some(self.instance.get_typed_func(&mut self.store, export)?);
        }
        let Some(function) = slot else { return Ok(()) };
        function.call_async(&mut self.store, ()).await
    }

    async fn run_body(&mut self, phase: Phase, export: &ComponentExportIndex) -> wasmtime::Result<()> {
        let end = self.store.data().state.as_ref().is_some_and(|state| state.body_end);
        let slot = &mut self.bodies[usize::from(phase == Phase::ResponseBody)];
        if slot.is_none() {
            *slot = Some(self.instance.get_typed_func(&mut self.store, export)?);
        }
        let Some(function) = slot else { return Ok(()) };
        function.call_async(&mut self.store, (end,)).await
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

impl Borrower for Instance {
    fn state(&mut self) -> &mut Option<Box<State>> {
        &mut self.store.data_mut().state
    }
}
