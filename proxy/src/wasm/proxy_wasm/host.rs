//! The host functions, by subject, and how they reach the guest's memory.

mod buffers;
mod callouts;
mod foreign;
mod log;
mod maps;
mod metrics;
mod property;
mod shared;
mod streams;
mod wasi;

use wasmtime::{Linker, Module};

use super::super::memory;
use super::abi::{Cx, Status, Stop, answer};
use super::data::Host;

/// The module that the ABI's functions are imported from.
const ENV: &str = "env";

/// Links a function: its name, what does it, and its parameters.
macro_rules! function {
    ($linker:ident, $name:literal, $function:path, ($($parameter:ident: $type:ty),*)) => {
        $linker.func_wrap(super::ENV, $name, |mut cx: super::Cx<'_>, $($parameter: $type),*| {
            super::answer($function(&mut cx, $($parameter),*))
        })?;
    };
}
use function;

/// Links every function of every version, and what a module imports of WASI beyond the ABI.
pub(super) fn link(linker: &mut Linker<Host>, module: &Module) -> wasmtime::Result<()> {
    buffers::link(linker)?;
    callouts::link(linker)?;
    foreign::link(linker)?;
    log::link(linker)?;
    maps::link(linker)?;
    metrics::link(linker)?;
    property::link(linker)?;
    shared::link(linker)?;
    streams::link(linker)?;
    wasi::link(linker, module)
}

/// The guest's memory, and the data of its store.
fn parts<'a>(cx: &'a mut Cx<'_>) -> Result<(&'a mut [u8], &'a mut Host), Status> {
    let linear = cx.data().linear.ok_or(Status::InvalidMemoryAccess)?;
    Ok(linear.data_and_store_mut(cx))
}

/// Bytes that the guest names, copied. They lie in its memory, which is capped, so the copy is.
fn copied(cx: &mut Cx<'_>, at: u32, length: u32) -> Result<Vec<u8>, Stop> {
    let (memory, _) = parts(cx)?;
    Ok(memory::read(memory, at, length)?.to_vec())
}

/// Writes a number to where the guest wants it.
fn put_u32(cx: &mut Cx<'_>, at: u32, number: u32) -> Result<(), Stop> {
    let (memory, _) = parts(cx)?;
    Ok(memory::write(memory, at, &number.to_le_bytes())?)
}

/// The same with 64 bits.
fn put_u64(cx: &mut Cx<'_>, at: u32, number: u64) -> Result<(), Stop> {
    let (memory, _) = parts(cx)?;
    Ok(memory::write(memory, at, &number.to_le_bytes())?)
}

/// Makes sure that a number can be written there, before anything else happens.
fn is_place(cx: &mut Cx<'_>, at: u32) -> Result<(), Stop> {
    let (memory, _) = parts(cx)?;
    memory::read(memory, at, 4)?;
    Ok(())
}

/// Gives the guest bytes: in memory that its allocator makes, with pointer and length where it wants them. No bytes at all
/// have no place: their pointer is 0.
fn give(cx: &mut Cx<'_>, bytes: &[u8], pointer_at: u32, length_at: u32) -> Result<(), Stop> {
    let (memory, _) = parts(cx)?;
    memory::read(memory, pointer_at, 4)?;
    memory::read(memory, length_at, 4)?;
    let length = u32::try_from(bytes.len()).map_err(|_| Status::InternalFailure)?;
    let pointer = if length == 0 { 0 } else { allocate(cx, length)? };
    let (memory, _) = parts(cx)?;
    memory::write(memory, pointer, bytes)?;
    memory::write(memory, pointer_at, &pointer.to_le_bytes())?;
    memory::write(memory, length_at, &length.to_le_bytes())?;
    Ok(())
}

/// Memory that the guest's allocator makes.
fn allocate(cx: &mut Cx<'_>, length: u32) -> Result<u32, Stop> {
    // An allocator that calls what needs an allocator would never come to an end: it finds none. One that fails ends the VM.
    let allocator = cx.data_mut().allocate.take().ok_or(Status::InternalFailure)?;
    let pointer = allocator.call(&mut *cx, length)?;
    cx.data_mut().allocate = Some(allocator);
    if pointer == 0 { Err(Status::InvalidMemoryAccess.into()) } else { Ok(pointer) }
}
