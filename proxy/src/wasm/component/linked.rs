//! A guest's code, linked: what instances are made of.

use std::collections::BTreeSet;

use wasmtime::component::{self, Component, ComponentExportIndex};
use wasmtime::{InstancePre, Linker, Module};

use super::abi::Interface;
use super::exports::{CoreExport, Exports, Runtime};
use super::guest::Guest;
use super::host::INTERFACES;
use super::{LoadError, PACKAGE_VERSION};
use crate::chain::Phase;
use crate::wasm::Engine;

/// A guest's code, linked.
pub(super) enum Linked {
    /// A component.
    Component(ComponentCode),
    /// A core module that carries the world and needs nothing but the contract.
    Core(CoreCode),
}

/// A component, linked.
pub(super) struct ComponentCode {
    pub(super) pre: component::InstancePre<Guest>,
    pub(super) exports: Exports<ComponentExportIndex>,
    /// Whether it imports WASI.
    pub(super) wasi: bool,
}

/// A core module, linked in two ways.
pub(super) struct CoreCode {
    /// For calls on the worker's stack; absent where the guest calls functions that wait.
    pub(super) direct: Option<InstancePre<Guest>>,
    /// For calls on stacks of their own.
    pub(super) yielding: InstancePre<Guest>,
    pub(super) exports: Exports<CoreExport>,
    pub(super) runtime: Runtime,
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn world(error: wasmtime::Error) -> LoadError {
    LoadError::World(format!("{error:#}"))
}

impl Linked {
    /// Whether a guest exports a phase.
    pub(super) fn has(&self, phase: Phase) -> bool {
        match self {
            Self::Component(code) => code.exports.phases[phase as usize].is_some(),
            Self::Core(code) => code.exports.phases[phase as usize].is_some(),
        }
    }

    /// Where a component exports a phase.
    pub(super) fn component_phase(&self, phase: Phase) -> Option<&ComponentExportIndex> {
        match self {
            Self::Component(code) => code.exports.phases[phase as usize].as_ref(),
            Self::Core(_) => None,
        }
    }

    /// Where a core module exports a phase.
    pub(super) fn core_phase(&self, phase: Phase) -> Option<&CoreExport> {
        match self {
            Self::Component(_) => None,
            Self::Core(code) => code.exports.phases[phase as usize].as_ref(),
        }
    }

    /// Whether it exports the timer phase.
    pub(super) fn ticks(&self) -> bool {
        match self {
            Self::Component(code) => code.exports.tick.is_some(),
            Self::Core(code) => code.exports.tick.is_some(),
        }
    }

    /// Whether calls can run on the worker's stack.
    pub(super) fn runs_direct(&self) -> bool {
        matches!(self, Self::Core(CoreCode { direct: Some(_), .. }))
    }

    /// Links a component.
    pub(super) fn component(engine: &Engine, component: &Component) -> Result<Self, LoadError> {
        let exports = Exports::of_component(component)?;
        let mut linker = component::Linker::new(engine.wasmtime());
        for (name, link) in INTERFACES {
            let interface = linker.instance(&format!("gofe:plugin/{name}@{PACKAGE_VERSION}")).map_err(world)?;
            link(&mut Interface::Component(interface)).map_err(world)?;
        }
        let ty = component.component_type();
        let wasi = ty.imports(engine.wasmtime()).any(|(name, _)| name.starts_with("wasi:"));
        if wasi {
            wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(world)?;
        }
        let pre = linker.instantiate_pre(component).map_err(world)?;
        Ok(Self::Component(ComponentCode { pre, exports, wasi }))
    }

    /// Links a core module.
    pub(super) fn core(engine: &Engine, module: &Module) -> Result<Self, LoadError> {
        let (exports, runtime) = (Exports::of_module(module)?, Runtime::of(module)?);
        let waits = module.imports().any(|import| import.module().contains("/outbound@") && import.name() == "send");
        let link = |waits| {
            let mut linker = Linker::new(engine.wasmtime());
            link_core(&mut linker, module, waits).and_then(|()| linker.instantiate_pre(module)).map_err(world)
        };
        let direct = if waits { None } else { Some(link(false)?) };
        Ok(Self::Core(CoreCode { direct, yielding: link(true)?, exports, runtime }))
    }
}

/// Links the interfaces that a module imports, under the names by which it imports them.
fn link_core(linker: &mut Linker<Guest>, module: &Module, waits: bool) -> wasmtime::Result<()> {
    let imported: BTreeSet<&str> = module.imports().map(|import| import.module()).collect();
    for (name, link) in INTERFACES {
        let prefix = format!("gofe:plugin/{name}@0.1.");
        for module in imported.iter().filter(|module| module.starts_with(&prefix)) {
            link(&mut Interface::Core { linker, module, waits })?;
        }
    }
    Ok(())
}
