//! `gofe:plugin/secrets`: secrets by name.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lower, WasmStr};

use super::{Guest, Interface};

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
enum SecretError {
    #[component(name = "denied")]
    Denied,
}

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("get", |cx: StoreContextMut<'_, Guest>, (name,): (WasmStr,)| {
        let name = name.to_str(&cx)?;
        Ok((cx.data().env.secrets.get(&*name).cloned().ok_or(SecretError::Denied),))
    })
}
