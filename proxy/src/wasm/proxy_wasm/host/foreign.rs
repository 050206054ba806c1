//! Foreign functions: what a proxy offers beyond the ABI, by name. This table is where another is added.

use bytes::Bytes;
use wasmtime::Linker;

use super::super::abi::{Answer, Cx, Status};
use super::super::data::Host;
use super::{copied, function, give};

/// A foreign function: it gets the arguments, and gives results.
type Foreign = fn(&mut Host, &[u8]) -> Result<Vec<u8>, Status>;

/// The functions by their names.
const FUNCTIONS: [(&str, Foreign); 2] = [("gofe.defer", defer), ("gofe.set_upstream", set_upstream)];

/// The most callbacks that wait for the end of the one that runs.
const MAX_DEFERRED: usize = 16;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    function!(linker, "proxy_call_foreign_function", call, (
        name: u32, name_length: u32, arguments: u32, arguments_length: u32, pointer_at: u32, length_at: u32
    ));
    Ok(())
}

fn call(
    cx: &mut Cx<'_>,
    name: u32,
    name_length: u32,
    arguments: u32,
    arguments_length: u32,
    pointer_at: u32,
    length_at: u32,
) -> Answer {
    let name = copied(cx, name, name_length)?;
    let arguments = copied(cx, arguments, arguments_length)?;
    let found = FUNCTIONS.into_iter().find(|(known, _)| known.as_bytes() == name);
    let (_, function) = found.ok_or(Status::NotFound)?;
    let results = function(cx.data_mut(), &arguments)?;
    // Who does not want results says so with null pointers.
    if pointer_at == 0 || length_at == 0 { Ok(()) } else { give(cx, &results, pointer_at, length_at) }
}

/// Calls `proxy_on_foreign_function` when the callback that runs has ended. Arguments: the function's number in 32 bits,
/// little-endian, and what it shall find as its own arguments.
fn defer(host: &mut Host, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let (number, arguments) = arguments.split_first_chunk::<4>().ok_or(Status::BadArgument)?;
    if host.deferred.len() >= MAX_DEFERRED {
        return Err(Status::InternalFailure);
    }
    host.deferred.push((u32::from_le_bytes(*number), Bytes::copy_from_slice(arguments)));
    Ok(Vec::new())
}

/// Sends the request in hand to the upstream of this name.
fn set_upstream(host: &mut Host, name: &[u8]) -> Result<Vec<u8>, Status> {
    let name = std::str::from_utf8(name).map_err(|_| Status::BadArgument)?;
    let state = host.state_mut().filter(|state| state.request_open).ok_or(Status::BadArgument)?;
    if !state.directory.has_upstream(name) {
        return Err(Status::NotFound);
    }
    state.routing.upstream = Some(name.into());
    Ok(Vec::new())
}
