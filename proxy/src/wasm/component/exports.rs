//! What a guest exports.

use wasmtime::component::{Component, ComponentExportIndex};
use wasmtime::{Module, ModuleExport};

use super::LoadError;
use crate::chain::Phase;

/// Where the functions are that a guest exports.
pub(super) struct Exports<I> {
    pub(super) configure: I,
    pub(super) phases: [Option<I>; Phase::ALL.len()],
    pub(super) tick: Option<I>,
}

impl<I> Exports<I> {
    fn find(find: impl Fn(&str, &str) -> Option<I>) -> Result<Self, LoadError> {
        let phase = |phase: Phase| find(&format!("on-{phase}"), phase.name());
        let phases = Phase::ALL.map(phase);
        match find("lifecycle", "configure") {
            Some(configure) => Ok(Self { configure, phases, tick: find("on-tick", "tick") }),
            None => Err(LoadError::World("it does not export gofe:plugin/lifecycle".to_owned())),
        }
    }
}

impl Exports<ComponentExportIndex> {
    /// Those of a component.
    pub(super) fn of_component(component: &Component) -> Result<Self, LoadError> {
        let ty = component.component_type();
        let full_name = |interface: &str| {
            let prefix = prefix(interface);
            ty.exports(component.engine()).map(|(name, _)| name.to_owned()).find(|name| name.starts_with(&prefix))
        };
        Self::find(|interface, function| {
            let instance = component.get_export_index(None, &*full_name(interface)?)?;
            component.get_export_index(Some(&instance), function)
        })
    }
}

/// A function that a core module exports, and what is to be called when its result was read.
pub(super) struct CoreExport {
    pub(super) function: ModuleExport,
    pub(super) post: Option<ModuleExport>,
}

impl Exports<CoreExport> {
    /// Those of a core module. Their names are those of the Canonical ABI: `INTERFACE#FUNCTION`.
    pub(super) fn of_module(module: &Module) -> Result<Self, LoadError> {
        Self::find(|interface, function| {
            let (prefix, suffix) = (prefix(interface), format!("#{function}"));
            let mut names = module.exports().map(|export| export.name());
            let name = names.find(|name| name.starts_with(&prefix) && name.ends_with(&suffix))?;
            let post = module.get_export_index(&format!("cabi_post_{name}"));
            Some(CoreExport { function: module.get_export_index(name)?, post })
        })
    }
}

/// What a core module exports for the Canonical ABI's use, and no interface has.
pub(super) struct Runtime {
    pub(super) memory: ModuleExport,
    pub(super) realloc: ModuleExport,
    /// What a C library does before anything else may run.
    pub(super) initialize: Option<ModuleExport>,
}

impl Runtime {
    pub(super) fn of(module: &Module) -> Result<Self, LoadError> {
        let export = |name| {
            let found = module.get_export_index(name);
            found.ok_or_else(|| LoadError::World(format!("it does not export `{name}`")))
        };
        Ok(Self {
            memory: export("memory")?,
            realloc: export("cabi_realloc")?,
            initialize: module.get_export_index("_initialize"),
        })
    }
}

/// How the full name of an interface of the contract begins, in any version that semver calls compatible.
fn prefix(interface: &str) -> String {
    format!("gofe:plugin/{interface}@0.1.")
}
