//! `gofe:plugin/output`: the plugin's own stream of lines.

use super::{Cx, Interface, Octets};

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_flat("write-line", |cx: Cx<'_>, (line,): (Octets,)| {
        let guest = cx.data();
        let worker = guest.state.as_deref().map_or(0, |state| state.client.worker);
        Ok(guest.env.output.write_line(worker, line.read(&cx)?))
    })
}
