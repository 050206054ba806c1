//! `gofe:plugin/key-value`: a store that all workers share.

use std::time::Duration;

use bytes::Bytes;
use wasmtime::component::{ComponentType, Lower};

use super::{Cx, Guest, Interface, Octets, Text, stored_enum};

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
enum StoreError {
    #[component(name = "denied")]
    Denied,
    #[component(name = "too-large")]
    TooLarge,
}

stored_enum!(StoreError);

impl Guest {
    fn key_value(&self) -> Result<&crate::store::Space, StoreError> {
        if self.env.allow.key_value { Ok(&self.env.space) } else { Err(StoreError::Denied) }
    }
}

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func("get", |cx: Cx<'_>, (key,): (Text,)| {
        let key = key.read(&cx)?;
        let value = cx.data().key_value().map(|space| space.get(&key));
        Ok(value.map(|value| value.map(|bytes| Box::<[u8]>::from(&*bytes))))
    })?;
    interface.func("set", |cx: Cx<'_>, (key, value, ttl): (Text, Octets, u64)| {
        let key = key.read(&cx)?;
        let value = Bytes::copy_from_slice(value.read(&cx)?);
        let ttl = (ttl > 0).then(|| Duration::from_nanos(ttl));
        let set = cx.data().key_value();
        Ok(set.and_then(|space| space.set(&key, value, ttl).map_err(|_| StoreError::TooLarge)))
    })?;
    interface.func("delete", |cx: Cx<'_>, (key,): (Text,)| {
        let key = key.read(&cx)?;
        Ok(cx.data().key_value().map(|space| space.delete(&key)))
    })
}
