//! `gofe:plugin/output`: the plugin's own stream of lines.

use wasmtime::StoreContextMut;
use wasmtime::component::WasmList;

use super::{Guest, Interface};

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("write-line", |cx: StoreContextMut<'_, Guest>, (line,): (WasmList<u8>,)| {
        let guest = cx.data();
        let worker = guest.state.as_deref().map_or(0, |state| state.client.worker);
        Ok((guest.env.output.write_line(worker, line.as_le_slice(&cx)),))
    })
}
