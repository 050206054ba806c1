//! How values of the contract travel between gofe and a guest, and the one way to link a function for both kinds of
//! guest.
//!
//! A *component* is entered and left by wasmtime's component machinery, which lifts and lowers values. A *core module* that
//! carries the world's type section and needs nothing else is entered as it is: then gofe does what that machinery would
//! do, by the Canonical ABI of the component model (strings and lists are a pointer and a length in the guest's memory, and
//! what a function returns beyond one number lies there too). A call then costs about a quarter.
//!
//! Functions are written once, with [`Text`] and [`Octets`] for what lies in the guest's memory and with results that
//! both ways know.

mod flat;
mod lifted;
mod stored;

use wasmtime::component::{ComponentNamedList, ComponentType, LinkerInstance, Lower};
use wasmtime::{AsContextMut, Linker, Memory, StoreContextMut, TypedFunc};

use super::guest::Guest;
pub(super) use flat::FlatResult;
use flat::{Flat, Waiting};
use lifted::Params;
pub(super) use lifted::{Octets, Text, number_of, word};
use stored::store;
pub(super) use stored::{Stored, Writer, stored_enum, stored_record};

/// The guest's store, as a host function sees it.
pub(super) type Cx<'a> = StoreContextMut<'a, Guest>;

/// What is needed of a core module to pass values: its memory, and its allocator (`cabi_realloc` of the Canonical ABI).
pub(super) struct Core {
    pub(super) memory: Memory,
    pub(super) realloc: Realloc,
}

/// Old address, old size, alignment, new size; the new address.
pub(super) type Realloc = TypedFunc<(u32, u32, u32, u32), u32>;

/// Where the functions of one interface are linked.
pub(super) enum Interface<'a> {
    /// For components.
    Component(LinkerInstance<'a, Guest>),
    /// For core modules.
    Core {
        linker: &'a mut Linker<Guest>,
        /// The interface's name as the module imports it.
        module: &'a str,
        /// Whether calls run on a stack of their own. Then the guest's allocator can only be called by waiting for it.
        waits: bool,
    },
}

impl Interface<'_> {
    /// Links a function whose result lies in memory.
    pub(super) fn func<P, R>(
        &mut self,
        name: &str,
        f: impl Fn(Cx<'_>, P) -> wasmtime::Result<R> + Clone + Send + Sync + 'static,
    ) -> wasmtime::Result<()>
    where
        P: Params,
        R: Stored + ComponentType + Lower + Send + Sync + 'static,
    {
        match self {
            Self::Component(linker) => linker
                .func_wrap(name, move |cx: Cx<'_>, params: P::Component| f(cx, P::component(params)).map(|r| (r,))),
            Self::Core { linker, module, waits: false } => {
                P::Flat::link_stored(linker, module, name, move |mut cx: Cx<'_>, slots, at| {
                    let params = P::read(slots, &cx)?;
                    let result = f(cx.as_context_mut(), params)?;
                    store(&result, cx, at)
                })
            }
            Self::Core { linker, module, waits: true } => {
                P::Flat::link_waiting(linker, module, name, move |cx: Cx<'_>, slots| {
                    let params = P::read(slots, &cx)?;
                    let result = f(cx, params);
                    Ok(Box::pin(std::future::ready(result)) as Waiting<'_, R>)
                })
            }
        }
    }

    /// Links a function that waits for something. A core module whose calls have no stack of their own cannot wait.
    pub(super) fn func_waiting<P, R>(
        &mut self,
        name: &str,
        f: impl for<'a> Fn(Cx<'a>, P) -> Waiting<'a, R> + Copy + Send + Sync + 'static,
    ) -> wasmtime::Result<()>
    where
        P: Params + Send,
        R: Stored + ComponentType + Lower + Send + Sync + 'static,
    {
        match self {
            Self::Component(linker) => linker.func_wrap_async(name, move |cx: Cx<'_>, params: P::Component| {
                let waiting = f(cx, P::component(params));
                Box::new(async move { waiting.await.map(|r| (r,)) })
            }),
            Self::Core { waits: false, .. } => Ok(()),
            Self::Core { linker, module, waits: true } => {
                P::Flat::link_waiting(linker, module, name, move |cx: Cx<'_>, slots| {
                    let params = P::read(slots, &cx)?;
                    Ok(f(cx, params))
                })
            }
        }
    }

    /// Links a function whose result is one number, or nothing.
    pub(super) fn func_flat<P, R>(
        &mut self,
        name: &str,
        f: impl Fn(Cx<'_>, P) -> wasmtime::Result<R> + Clone + Send + Sync + 'static,
    ) -> wasmtime::Result<()>
    where
        P: Params,
        R: FlatResult,
        R::Component: ComponentNamedList + Lower + 'static,
    {
        match self {
            Self::Component(linker) => linker
                .func_wrap(name, move |cx: Cx<'_>, params: P::Component| f(cx, P::component(params)).map(R::component)),
            Self::Core { linker, module, .. } => P::Flat::link(linker, module, name, move |cx: Cx<'_>, slots| {
                let params = P::read(slots, &cx)?;
                f(cx, params).map(R::flat)
            }),
        }
    }
}
