//! The request line, the client's address, and the response's status.

use http::{StatusCode, Uri, Version};
use wasmtime::{Caller, Linker, bail};

use super::super::call::BUFFER_RESPONSE;
use super::super::guest::Guest;
use super::{MODULE, give, memory, split};
use crate::http::{assignable_method, final_status};

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "get_method", |mut caller: Caller<'_, Guest>, at: u32, room: u32| {
        let (bytes, guest) = split(&mut caller)?;
        give(bytes, at, room, guest.in_hand()?.0.request.method.as_str().as_bytes())
    })?;
    linker.func_wrap(MODULE, "set_method", |mut caller: Caller<'_, Guest>, at: u32, length: u32| {
        let (bytes, guest) = split(&mut caller)?;
        let Some(method) = assignable_method(memory::read(bytes, at, length)?) else {
            bail!("set_method: it is not a method that a request can have; CONNECT makes a tunnel");
        };
        before_next(guest, "the method")?.request.method = method;
        Ok(())
    })?;
    linker.func_wrap(MODULE, "get_uri", |mut caller: Caller<'_, Guest>, at: u32, room: u32| {
        let (bytes, guest) = split(&mut caller)?;
        let target = guest.in_hand()?.0.request.uri.path_and_query();
        give(bytes, at, room, target.map_or("/", |target| target.as_str()).as_bytes())
    })?;
    linker.func_wrap(MODULE, "set_uri", |mut caller: Caller<'_, Guest>, at: u32, length: u32| {
        let (bytes, guest) = split(&mut caller)?;
        let uri = target(memory::read(bytes, at, length)?)?;
        before_next(guest, "the URI")?.set_target(uri);
        Ok(())
    })?;
    linker.func_wrap(MODULE, "get_protocol_version", |mut caller: Caller<'_, Guest>, at: u32, room: u32| {
        let (bytes, guest) = split(&mut caller)?;
        let version = match guest.in_hand()?.0.request.version {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            Version::HTTP_3 => "HTTP/3.0",
            _ => "HTTP/1.1",
        };
        give(bytes, at, room, version.as_bytes())
    })?;
    linker.func_wrap(MODULE, "get_source_addr", |mut caller: Caller<'_, Guest>, at: u32, room: u32| {
        let (bytes, guest) = split(&mut caller)?;
        give(bytes, at, room, guest.in_hand()?.0.client.address.to_string().as_bytes())
    })?;
    linker.func_wrap(MODULE, "get_status_code", |mut caller: Caller<'_, Guest>| {
        let (state, call) = caller.data_mut().in_hand()?;
        let given = if call.after_next { state.response.as_ref().map(|response| response.status) } else { call.status };
        Ok(u32::from(given.unwrap_or(StatusCode::OK).as_u16()))
    })?;
    linker.func_wrap(MODULE, "set_status_code", |mut caller: Caller<'_, Guest>, status: u32| {
        let (state, call) = caller.data_mut().in_hand()?;
        let Some(status) = final_status(status) else {
            bail!("set_status_code: {status} is not the status of a final response (200 to 599)");
        };
        if !call.after_next {
            call.status = Some(status);
        } else if !call.has(BUFFER_RESPONSE) {
            bail!("the status can be set after the next handler only with the feature buffer_response");
        } else if let Some(response) = &mut state.response {
            response.status = status;
        }
        Ok(())
    })?;
    Ok(())
}

/// The request in hand while it can be changed.
fn before_next<'a>(guest: &'a mut Guest, what: &str) -> wasmtime::Result<&'a mut crate::chain::State> {
    let (state, call) = guest.in_hand()?;
    if call.after_next {
        bail!("{what} cannot be set after the next handler");
    }
    Ok(state)
}

/// An origin-form (RFC 9112, section 3.2.1); nothing is `/`.
fn target(bytes: &[u8]) -> wasmtime::Result<Uri> {
    if bytes.is_empty() {
        return Ok(Uri::from_static("/"));
    }
    if !bytes.starts_with(b"/") && bytes != b"*" {
        bail!("set_uri: a URI begins with `/`");
    }
    Ok(Uri::from(http::uri::PathAndQuery::try_from(bytes)?))
}
