//! Functions of a core module's imports, by the types of their slots.

use std::pin::Pin;

use wasmtime::component::{ComponentNamedList, Lower};
use wasmtime::{AsContextMut, Caller, Linker, WasmRet, WasmTy};

use super::super::guest::Guest;
use super::stored::store_waiting;
use super::{Cx, Stored};

/// A number as it is passed.
pub(in super::super) trait Slot: WasmTy + Copy + 'static {
    /// Its bits, the low ones where it has fewer than 64.
    fn bits(self) -> u64;
}

impl Slot for u32 {
    fn bits(self) -> u64 {
        self.into()
    }
}

impl Slot for u64 {
    fn bits(self) -> u64 {
        self
    }
}

impl Slot for i64 {
    fn bits(self) -> u64 {
        self as u64
    }
}

impl Slot for f64 {
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

/// The slots of a function's parameters.
pub(in super::super) trait Flat: Send + 'static {
    /// Links a function that returns a number or nothing.
    fn link<R: WasmRet + 'static>(
        linker: &mut Linker<Guest>,
        module: &str,
        name: &str,
        f: impl Fn(Cx<'_>, &[u64]) -> wasmtime::Result<R> + Send + Sync + 'static,
    ) -> wasmtime::Result<()>;

    /// Links a function that gets one slot more, the address at which its result shall lie.
    fn link_stored(
        linker: &mut Linker<Guest>,
        module: &str,
        name: &str,
        f: impl Fn(Cx<'_>, &[u64], u32) -> wasmtime::Result<()> + Send + Sync + 'static,
    ) -> wasmtime::Result<()>;

    /// The same for guests whose allocator must be waited for, and for functions that wait; `f` gives the result back.
    fn link_waiting<R: Stored + Send + Sync + 'static>(
        linker: &mut Linker<Guest>,
        module: &str,
        name: &str,
        f: impl for<'a> Fn(Cx<'a>, &[u64]) -> wasmtime::Result<Waiting<'a, R>> + Clone + Send + Sync + 'static,
    ) -> wasmtime::Result<()>;
}

/// A result that will be there.
pub(in super::super) type Waiting<'a, R> = Pin<Box<dyn Future<Output = wasmtime::Result<R>> + Send + 'a>>;

macro_rules! flat {
    ($($slot:ident)*) => {
        #[allow(non_snake_case, reason = "a parameter is named after its type; there may be none")]
        impl<$($slot: Slot),*> Flat for ($($slot,)*) {
            fn link<R: WasmRet + 'static>(
                linker: &mut Linker<Guest>,
                module: &str,
                name: &str,
                f: impl Fn(Cx<'_>, &[u64]) -> wasmtime::Result<R> + Send + Sync + 'static,
            ) -> wasmtime::Result<()> {
                let f = move |mut caller: Caller<'_, Guest>, $($slot: $slot),*| {
                    f(caller.as_context_mut(), &[$($slot.bits()),*])
                };
                linker.func_wrap(module, name, f).map(|_| ())
            }

            fn link_stored(
                linker: &mut Linker<Guest>,
                module: &str,
                name: &str,
                f: impl Fn(Cx<'_>, &[u64], u32) -> wasmtime::Result<()> + Send + Sync + 'static,
            ) -> wasmtime::Result<()> {
                let f = move |mut caller: Caller<'_, Guest>, $($slot: $slot,)* at: u32| {
                    f(caller.as_context_mut(), &[$($slot.bits()),*], at)
                };
                linker.func_wrap(module, name, f).map(|_| ())
            }

            fn link_waiting<R: Stored + Send + Sync + 'static>(
                linker: &mut Linker<Guest>,
                module: &str,
                name: &str,
                f: impl for<'a> Fn(Cx<'a>, &[u64]) -> wasmtime::Result<Waiting<'a, R>> + Clone + Send + Sync + 'static,
            ) -> wasmtime::Result<()> {
                linker
                    .func_wrap_async(module, name, move |mut caller: Caller<'_, Guest>, ($($slot,)* at,): ($($slot,)* u32,)| {
                        let f = f.clone();
                        Box::new(async move {
                            let result = f(caller.as_context_mut(), &[$($slot.bits()),*])?.await?;
                            store_waiting(&result, caller, at).await
                        })
                    })
                    .map(|_| ())
            }
        }
    };
}

flat!();
flat!(A);
flat!(A B);
flat!(A B C);
flat!(A B C D);
flat!(A B C D E);
flat!(A B C D E F);
flat!(A B C D E F G H I);

/// A result that is one number, or nothing.
pub(in super::super) trait FlatResult: Sized + 'static {
    /// As a component gets it.
    type Component: ComponentNamedList + Lower;
    /// As a core module gets it.
    type Slot: WasmRet + 'static;

    /// For a component.
    fn component(self) -> Self::Component;

    /// For a core module.
    fn flat(self) -> Self::Slot;
}

impl FlatResult for () {
    type Component = ();
    type Slot = ();

    fn component(self) {}

    fn flat(self) {}
}

macro_rules! flat_results {
    ($($type:ty as $slot:ty;)+) => {$(
        impl FlatResult for $type {
            type Component = ($type,);
            type Slot = $slot;

            fn component(self) -> ($type,) {
                (self,)
            }

            fn flat(self) -> $slot {
                self as $slot
            }
        }
    )+};
}

flat_results! {
    bool as u32;
    u16 as u32;
    u64 as u64;
    i64 as i64;
}
