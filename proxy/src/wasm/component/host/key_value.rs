//! `gofe:plugin/key-value`: a store that all workers share.

use std::time::Duration;

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lower, WasmList, WasmStr};

use super::{Guest, Interface};

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
enum StoreError {
    #[component(name = "denied")]
    Denied,
    #[component(name = "too-large")]
    TooLarge,
}

impl Guest {
    fn key_value(&self) -> Result<&crate::store::Space, StoreError> {
        if self.env.allow.key_value { Ok(&self.env.space) } else { Err(StoreError::Denied) }
    }
}

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("get", |cx: StoreContextMut<'_, Guest>, (key,): (WasmStr,)| {
        let key = key.to_str(&cx)?;
        let value = cx.data().key_value().map(|space| space.get(&key));
        Ok((value.map(|value| value.map(|bytes| Box::<[u8]>::from(&*bytes))),))
    })?;
    interface.func_wrap("set", |cx: StoreContextMut<'_, Guest>, (key, value, ttl): (WasmStr, WasmList<u8>, u64)| {
        let key = key.to_str(&cx)?;
        let value = Bytes::copy_from_slice(value.as_le_slice(&cx));
        let ttl = (ttl > 0).then(|| Duration::from_nanos(ttl));
        let set = cx.data().key_value();
        Ok((set.and_then(|space| space.set(&key, value, ttl).map_err(|_| StoreError::TooLarge)),))
    })?;
    interface.func_wrap("delete", |cx: StoreContextMut<'_, Guest>, (key,): (WasmStr,)| {
        let key = key.to_str(&cx)?;
        Ok((cx.data().key_value().map(|space| space.delete(&key)),))
    })
}
