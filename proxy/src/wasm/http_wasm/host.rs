//! The host functions: module `http_handler`.
//!
//! The ABI has no error results: a call that the specification does not allow ends the guest's call, and the plugin's
//! failure policy holds.

mod body;
mod fields;
mod general;
mod message;

use wasmtime::{Caller, Linker, Memory};

use super::guest::Guest;
use crate::wasm::memory;

/// The module that guests import.
pub(super) const MODULE: &str = "http_handler";

/// Whether a function waits for something, so that a guest which imports it runs on a stack of its own.
pub(super) fn waits(module: &str, name: &str) -> bool {
    module != MODULE || name == "read_body"
}

/// Links the host functions.
pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    general::link(linker)?;
    message::link(linker)?;
    fields::link(linker)?;
    body::link(linker)
}

/// The guest's memory. Before it has started, it is looked up by its name.
fn linear(caller: &mut Caller<'_, Guest>) -> wasmtime::Result<Memory> {
    match caller.data().linear {
        Some(memory) => Ok(memory),
        None => match caller.get_export("memory").and_then(wasmtime::Extern::into_memory) {
            Some(memory) => Ok(memory),
            None => wasmtime::bail!("the guest has no memory"),
        },
    }
}

/// Writes a value where the guest has room for it. Its length is the result, also where it does not fit.
fn give(memory: &mut [u8], at: u32, room: u32, value: &[u8]) -> wasmtime::Result<u32> {
    if value.len() <= room as usize {
        memory::write(memory, at, value)?;
    }
    Ok(u32::try_from(value.len()).unwrap_or(u32::MAX))
}

/// What the guest reads in its memory, and the data of its store.
fn split<'a>(caller: &'a mut Caller<'_, Guest>) -> wasmtime::Result<(&'a mut [u8], &'a mut Guest)> {
    let linear = linear(caller)?;
    Ok(linear.data_and_store_mut(caller))
}
