//! Buffers: bodies, what callouts brought, configurations, and the arguments of foreign callbacks.

use bytes::{Bytes, BytesMut};
use wasmtime::Linker;

use super::super::abi::{Answer, Buffer, Cx, Status, Stop};
use super::super::data::{Event, Host};
use super::super::stream;
use super::{function, give, is_place, memory, parts, put_u32};

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    function!(linker, "proxy_get_buffer_bytes", get_bytes, (
        buffer: u32, start: u32, most: u32, pointer_at: u32, length_at: u32
    ));
    function!(linker, "proxy_set_buffer_bytes", set_bytes, (
        buffer: u32, start: u32, replaced: u32, value: u32, value_length: u32
    ));
    function!(linker, "proxy_get_buffer_status", get_status, (buffer: u32, length_at: u32, flags_at: u32));
    Ok(())
}

/// Lends the bytes of a buffer that is in hand.
fn with<T>(host: &Host, buffer: Buffer, lend: impl FnOnce(&[u8]) -> T) -> Result<T, Stop> {
    let missing = || Stop::from(Status::NotFound);
    Ok(match (buffer, &host.event) {
        (Buffer::Body(side), _) => lend(host.stream().and_then(|stream| stream.body(side)).ok_or_else(missing)?),
        (Buffer::Data(way), _) => lend(host.bytes().and_then(|bytes| bytes.of(way)).ok_or_else(missing)?),
        (Buffer::CallBody, Event::HttpCall { body: bytes, .. })
        | (Buffer::GrpcMessage, Event::GrpcMessage(bytes))
        | (Buffer::ForeignArguments, Event::Foreign(bytes)) => lend(bytes),
        (Buffer::VmConfiguration, Event::VmStart) => lend(&host.env.vm_bytes()),
        (Buffer::PluginConfiguration, Event::Configure) => lend(&host.env.config_bytes()),
        _ => return Err(missing()),
    })
}

fn get_bytes(cx: &mut Cx<'_>, buffer: u32, start: u32, most: u32, pointer_at: u32, length_at: u32) -> Answer {
    let buffer = Buffer::of(buffer)?;
    let part = with(cx.data(), buffer, |bytes| {
        // What begins behind the end, or is said to wrap around, is a mistake; what is too long gets what there is.
        let end = start.checked_add(most)? as usize;
        bytes.get(start as usize..end.min(bytes.len())).map(Bytes::copy_from_slice)
    })?;
    give(cx, &part.ok_or(Status::BadArgument)?, pointer_at, length_at)
}

fn get_status(cx: &mut Cx<'_>, buffer: u32, length_at: u32, flags_at: u32) -> Answer {
    is_place(cx, length_at)?;
    is_place(cx, flags_at)?;
    let length = with(cx.data(), Buffer::of(buffer)?, |bytes| bytes.len() as u32)?;
    put_u32(cx, length_at, length)?;
    put_u32(cx, flags_at, 0)
}

fn set_bytes(cx: &mut Cx<'_>, buffer: u32, start: u32, replaced: u32, value: u32, value_length: u32) -> Answer {
    let buffer = Buffer::of(buffer)?;
    let (memory, host) = parts(cx)?;
    let value = memory::read(memory, value, value_length)?;
    let limit = usize::try_from(host.env.limits.body).unwrap_or(usize::MAX);
    let side = match buffer {
        Buffer::Body(side) => side,
        Buffer::Data(way) => {
            let bytes = host.stream_mut().and_then(|stream| stream.bytes.as_deref_mut()).ok_or(Status::NotFound)?;
            let old = bytes.of(way).ok_or(Status::NotFound)?;
            bytes.held[way as usize] = replaced_by(old, start, replaced, value, limit)?;
            return Ok(());
        }
        // The others are there to be read.
        _ => return Err(Status::NotFound.into()),
    };
    let stream = host.stream_mut().ok_or(Status::NotFound)?;
    let held = !stream.held[side as usize].is_empty();
    let state = stream.state.as_deref_mut().filter(|state| stream::side(state.phase) == Some(side));
    let state = state.ok_or(Status::NotFound)?;
    let old: &[u8] = if held { &stream.held[side as usize] } else { &state.body };
    let new = replaced_by(old, start, replaced, value, limit)?;
    if held && !new.is_empty() {
        stream.held[side as usize] = new;
    } else {
        stream.held[side as usize].clear();
        state.body = new.freeze();
    }
    Ok(())
}

/// Bytes with a part replaced. What begins behind the end begins at the end.
fn replaced_by(old: &[u8], start: u32, replaced: u32, value: &[u8], limit: usize) -> Result<BytesMut, Status> {
    let start = (start as usize).min(old.len());
    let end = start.saturating_add(replaced as usize).min(old.len());
    let length = start + value.len() + (old.len() - end);
    if length > limit.max(old.len()) {
        return Err(Status::InternalFailure);
    }
    let mut new = BytesMut::with_capacity(length);
    new.extend_from_slice(&old[..start]);
    new.extend_from_slice(value);
    new.extend_from_slice(&old[end..]);
    Ok(new)
}
