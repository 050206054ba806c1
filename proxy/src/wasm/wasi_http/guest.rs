//! The data of a component's store.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::super::Env;
use super::super::clock::Clock;
use super::super::store::Guard;
use super::super::wasi::empty_world;
use super::hooks::Hooks;
use super::life::Life;
use super::next::Pending;

/// The most things that a guest may have in its host's hands at a time: requests, responses, fields, bodies, timers.
const MAX_RESOURCES: usize = 4096;
/// The most bytes of one message's fields, as they are in memory.
const MAX_FIELDS: usize = 64 << 10;

/// The data of a component's store.
pub(super) struct Guest {
    guard: Guard,
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: Hooks,
    /// Requests that it may hand on.
    pub(super) next: Pending,
}

impl Guest {
    pub(super) fn new(
        env: Arc<Env>,
        clock: Arc<Clock>,
        environment: &BTreeMap<String, String>,
        life: Arc<Life>,
        worker: usize,
        concurrency: usize,
    ) -> Self {
        let mut wasi = empty_world(&env.name);
        for (name, value) in environment {
            wasi.env(name, value);
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELDS);
        let mut guard = Guard::new(env.clone(), clock);
        guard.budget.renewed = Some(life.renewed.clone());
        let hooks = Hooks::new(env, life, worker, concurrency);
        Self { guard, wasi: wasi.build(), table, http, hooks, next: Pending::default() }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
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
