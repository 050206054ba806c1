//! `gofe:plugin/random`: the operating system's generator.

use super::{Cx, Interface};

/// The most bytes of one call.
const MAX_BYTES: u32 = 1 << 16;

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_flat("get-u64", |_: Cx<'_>, (): ()| {
        let mut bytes = [0; 8];
        fill(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    })?;
    interface.func("get-bytes", |_: Cx<'_>, (length,): (u32,)| {
        wasmtime::ensure!(length <= MAX_BYTES, "random.get-bytes: {length} bytes are over the limit of {MAX_BYTES}");
        let mut bytes = vec![0; length as usize];
        fill(&mut bytes)?;
        Ok(bytes.into_boxed_slice())
    })
}

fn fill(bytes: &mut [u8]) -> wasmtime::Result<()> {
    getrandom::fill(bytes).map_err(|error| wasmtime::format_err!("the operating system has no random bytes: {error}"))
}
