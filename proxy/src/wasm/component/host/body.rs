//! `gofe:plugin/body`: the chunk of the body in hand, or all of it.

use bytes::Bytes;

use super::{Cx, Interface, Octets};

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_flat("size", |cx: Cx<'_>, (): ()| {
        Ok(cx.data().state.as_deref().map_or(0, |state| state.body.len() as u64))
    })?;
    interface.func("read", |cx: Cx<'_>, (offset, length): (u64, u64)| {
        let body = cx.data().state.as_deref().map(|state| &*state.body).unwrap_or_default();
        let from = usize::try_from(offset).map_or(body.len(), |from| from.min(body.len()));
        let most = usize::try_from(length).unwrap_or(usize::MAX);
        let to = from.saturating_add(most).min(body.len());
        Ok(Box::<[u8]>::from(&body[from..to]))
    })?;
    interface.func_flat("replace", |mut cx: Cx<'_>, (bytes,): (Octets,)| {
        let bytes = Bytes::copy_from_slice(bytes.read(&cx)?);
        if let Some(state) = cx.data_mut().state.as_deref_mut() {
            state.body = bytes;
        }
        Ok(())
    })
}
