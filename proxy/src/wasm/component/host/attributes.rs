//! `gofe:plugin/attributes`: what plugins tell each other, and what they remember from phase to phase.

use bytes::Bytes;

use super::{Cx, Interface, Octets, Text};

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func("get", |cx: Cx<'_>, (name,): (Text,)| {
        let name = name.read(&cx)?;
        let value = cx.data().state.as_deref().and_then(|state| state.attributes.get(&name));
        Ok(value.map(|value| Box::<[u8]>::from(&**value)))
    })?;
    interface.func_flat("set", |mut cx: Cx<'_>, (name, value): (Text, Octets)| {
        let value = Bytes::copy_from_slice(value.read(&cx)?);
        let name = name.read(&cx)?.into_owned();
        let state = cx.data_mut().state.as_deref_mut();
        Ok(state.is_some_and(|state| state.attributes.set(&name, value)))
    })?;
    interface.func_flat("remove", |mut cx: Cx<'_>, (name,): (Text,)| {
        let name = name.read(&cx)?.into_owned();
        if let Some(state) = cx.data_mut().state.as_deref_mut() {
            state.attributes.remove(&name);
        }
        Ok(())
    })
}
