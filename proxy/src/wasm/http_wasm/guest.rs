//! The data of a guest's store.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use wasmtime::Memory;
use wasmtime_wasi::p1::WasiP1Ctx;

use super::super::Env;
use super::super::clock::Clock;
use super::super::names::Names;
use super::super::store::Guard;
use super::super::wasi::empty_world;
use super::call::Call;
use crate::chain::State;

/// The data of a guest's store.
pub(super) struct Guest {
    guard: Guard,
    /// The request in hand, lent for the call.
    pub(super) state: Option<Box<State>>,
    /// What the guest did to the request so far.
    pub(super) call: Call,
    /// The features that it enabled while it started.
    pub(super) features: u32,
    /// Names of header fields that it has used.
    pub(super) names: Names,
    /// Its memory, once it has one.
    pub(super) linear: Option<Memory>,
    /// The empty world that language runtimes need, for guests that import it.
    wasi: Option<Box<WasiP1Ctx>>,
}

impl Guest {
    pub(super) fn new(env: Arc<Env>, clock: Arc<Clock>) -> Self {
        let guard = Guard::new(env, clock);
        let (call, names) = (Call::default(), Names::default());
        Self { guard, state: None, call, features: 0, names, linear: None, wasi: None }
    }

    pub(super) fn wasi(&mut self) -> &mut WasiP1Ctx {
        let env = &self.guard.env;
        self.wasi.get_or_insert_with(|| Box::new(empty_world(&env.name).build_p1()))
    }

    /// The request in hand; an error while the guest starts.
    pub(super) fn in_hand(&mut self) -> wasmtime::Result<(&mut State, &mut Call)> {
        match self.state.as_deref_mut() {
            Some(state) => Ok((state, &mut self.call)),
            None => wasmtime::bail!("there is no request in hand"),
        }
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
