//! `gofe:plugin/attributes`: what plugins tell each other, and what they remember from phase to phase.

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{WasmList, WasmStr};

use super::{Guest, Interface};

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("get", |cx: StoreContextMut<'_, Guest>, (name,): (WasmStr,)| {
        let name = name.to_str(&cx)?;
        let value = cx.data().state.as_deref().and_then(|state| state.attributes.get(&name));
        Ok((value.map(|value| Box::<[u8]>::from(&**value)),))
    })?;
    interface.func_wrap("set", |mut cx: StoreContextMut<'_, Guest>, (name, value): (WasmStr, WasmList<u8>)| {
        let value = Bytes::copy_from_slice(value.as_le_slice(&cx));
        let name = name.to_str(&cx)?.into_owned();
        let state = cx.data_mut().state.as_deref_mut();
        Ok((state.is_some_and(|state| state.attributes.set(&name, value)),))
    })?;
    interface.func_wrap("remove", |mut cx: StoreContextMut<'_, Guest>, (name,): (WasmStr,)| {
        let name = name.to_str(&cx)?.into_owned();
        if let Some(state) = cx.data_mut().state.as_deref_mut() {
            state.attributes.remove(&name);
        }
        Ok(())
    })
}
