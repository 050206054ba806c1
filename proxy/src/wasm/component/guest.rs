//! The data of a guest's store: the request that is lent to it, and what limits it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use super::super::Env;
use super::super::clock::Clock;
use super::super::store::Guard;
use super::super::wasi::empty_world;
use super::abi::Core;
use crate::chain::State;

/// The data of a guest's store.
pub(super) struct Guest {
    guard: Guard,
    /// The request in hand, lent for the call.
    pub(super) state: Option<Box<State>>,
    /// The empty world that language runtimes need, for guests that import it.
    wasi: Option<Box<(WasiCtx, ResourceTable)>>,
    /// While the guest configures itself it may not call out.
    pub(super) configuring: bool,
    /// What passes values, where the guest is a core module.
    /// Shared, so that a host function can call the allocator: to clone that counts on memory that all workers share.
    pub(super) core: Option<Arc<Core>>,
    /// Names of header fields, parsed.
    pub(super) names: super::host::Names,
}

impl Guest {
    pub(super) fn new(env: Arc<Env>, clock: Arc<Clock>, wasi: bool) -> Self {
        let wasi = wasi.then(|| Box::new((empty_world(&env.name).build(), ResourceTable::new())));
        let guard = Guard::new(env, clock);
        Self { guard, state: None, wasi, configuring: true, core: None, names: Default::default() }
    }
}

impl Deref for Guest {
    type Target = Guard;

    fn deref(&self) -> &Guard {
        &self.guard
    }
}

impl DerefMut for Guest {
    fn deref_mut(&mut self) -> &mut Guard {
        &mut self.guard
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let env = &self.guard.env;
        let wasi = self.wasi.get_or_insert_with(|| Box::new((empty_world(&env.name).build(), ResourceTable::new())));
        WasiCtxView { ctx: &mut wasi.0, table: &mut wasi.1 }
    }
}
