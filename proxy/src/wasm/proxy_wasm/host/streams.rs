//! Contexts and streams: resume, close, answer, and whose context it is.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use wasmtime::Linker;

use super::super::abi::{Answer, Cx, Side, Status};
use super::super::data::{Context, Event, Host};
use super::super::{pairs, stream};
use super::{function, give, is_place, memory, parts, put_u32};
use crate::chain::{Phase, Reply};
use crate::http::{Body, final_status};

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    function!(linker, "proxy_set_effective_context", set_effective_context, (context: u32));
    function!(linker, "proxy_done", done, ());
    function!(linker, "proxy_continue_stream", continue_stream, (stream: u32));
    function!(linker, "proxy_close_stream", close_stream, (stream: u32));
    function!(linker, "proxy_get_status", get_status, (code_at: u32, pointer_at: u32, length_at: u32));
    function!(linker, "proxy_send_local_response", send_local_response, (
        status: u32, details: u32, details_length: u32, body: u32, body_length: u32, headers: u32, headers_length: u32,
        grpc_status: u32
    ));
    // 0.1.0 has these in the place of `proxy_continue_stream`, and two more.
    function!(linker, "proxy_continue_request", continue_request, ());
    function!(linker, "proxy_continue_response", continue_response, ());
    function!(linker, "proxy_clear_route_cache", clear_route_cache, ());
    function!(linker, "proxy_get_configuration", get_configuration, (pointer_at: u32, length_at: u32));
    Ok(())
}

fn set_effective_context(cx: &mut Cx<'_>, context: u32) -> Answer {
    let host = cx.data_mut();
    if context != host.root && host.contexts.get(context).is_none() {
        return Err(Status::BadArgument.into());
    }
    host.effective = context;
    Ok(())
}

fn done(cx: &mut Cx<'_>) -> Answer {
    let host = cx.data_mut();
    let about = host.about();
    let pending = if about == host.root {
        std::mem::take(&mut host.root_pending)
    } else {
        host.contexts.get(about).is_some_and(|stream| stream.pending) && !host.finished.contains(&about)
    };
    if !pending {
        return Err(Status::NotFound.into());
    }
    host.finished.push(about);
    Ok(())
}

/// The stream that a host function is about, and which of its two sides a `proxy_stream_type_t` names: 0 and 1 are those of
/// a request, 2 and 3 those of a connection.
fn side<'a>(cx: &'a mut Cx<'_>, stream: u32) -> Result<(&'a mut Context, usize), Status> {
    let about = cx.data_mut().stream_mut().ok_or(Status::BadArgument)?;
    match (stream, about.bytes.is_some()) {
        (0 | 1, false) => Ok((about, stream as usize)),
        (2 | 3, true) => Ok((about, stream as usize - 2)),
        (2 | 3, false) => Err(Status::Unimplemented),
        _ => Err(Status::BadArgument),
    }
}

fn continue_stream(cx: &mut Cx<'_>, stream: u32) -> Answer {
    let (stream, side) = side(cx, stream)?;
    stream.resumed[side] = true;
    stream.wake();
    Ok(())
}

fn continue_request(cx: &mut Cx<'_>) -> Answer {
    continue_stream(cx, 0)
}

fn continue_response(cx: &mut Cx<'_>) -> Answer {
    continue_stream(cx, 1)
}

fn close_stream(cx: &mut Cx<'_>, stream: u32) -> Answer {
    let (stream, _) = side(cx, stream)?;
    stream.closed = true;
    stream.wake();
    Ok(())
}

/// The route is chosen once, so there is nothing to clear.
fn clear_route_cache(_: &mut Cx<'_>) -> Answer {
    Err(Status::Unimplemented.into())
}

fn get_configuration(cx: &mut Cx<'_>, pointer_at: u32, length_at: u32) -> Answer {
    let host = cx.data();
    let configuration = match host.event {
        Event::VmStart => host.env.vm_bytes(),
        _ => host.env.config_bytes().into_owned(),
    };
    give(cx, &configuration, pointer_at, length_at)
}

fn get_status(cx: &mut Cx<'_>, code_at: u32, pointer_at: u32, length_at: u32) -> Answer {
    is_place(cx, code_at)?;
    let (code, message) = cx.data().status.clone();
    give(cx, message.as_bytes(), pointer_at, length_at)?;
    put_u32(cx, code_at, code)
}

#[expect(clippy::too_many_arguments, reason = "the ABI's function has as many")]
fn send_local_response(
    cx: &mut Cx<'_>,
    status: u32,
    details: u32,
    details_length: u32,
    body: u32,
    body_length: u32,
    headers: u32,
    headers_length: u32,
    grpc_status: u32,
) -> Answer {
    let (memory, host) = parts(cx)?;
    memory::read(memory, details, details_length)?;
    let body = memory::read(memory, body, body_length)?;
    let fields = pairs::read(memory::read(memory, headers, headers_length)?).ok_or(Status::BadArgument)?;
    let status = final_status(status).ok_or(Status::BadArgument)?;
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let (name, value) = super::maps::field(name, value)?;
        headers.try_append(name, value).map_err(|_| Status::BadArgument)?;
    }
    let stream = host.stream_mut().ok_or(Status::BadArgument)?;
    let state = stream.state.as_deref_mut().ok_or(Status::BadArgument)?;
    if state.phase == Phase::Complete || (stream::side(state.phase) == Some(Side::Request) && state.response.is_some())
    {
        return Err(Status::BadArgument.into());
    }
    headers.remove(CONTENT_LENGTH);
    let mut reply = Reply { status, headers, body: Body::full(Bytes::copy_from_slice(body)) };
    let is_grpc =
        state.request.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        as_grpc(&mut reply, grpc_status, body);
    }
    state.reply = Some(reply);
    stream.wake();
    Ok(())
}

/// An answer as a gRPC client reads it: the status in fields, and no body (gRPC's `Trailers-Only`).
fn as_grpc(reply: &mut Reply, grpc_status: u32, message: &[u8]) {
    // -1 leaves the choice to the host.
    let code = if grpc_status <= 16 { grpc_status } else { from_http(reply.status) };
    let message = percent_encoded(message);
    reply.body = Body::Empty;
    reply.status = StatusCode::OK;
    reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    reply.headers.insert("grpc-status", HeaderValue::from(code));
    if let Ok(message) = HeaderValue::from_str(&message) {
        reply.headers.insert("grpc-message", message);
    }
}

fn from_http(status: StatusCode) -> u32 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

fn percent_encoded(message: &[u8]) -> String {
    use std::fmt::Write;
    message.iter().fold(String::with_capacity(message.len()), |mut text, &byte| {
        if (0x20..0x7f).contains(&byte) && byte != b'%' {
            text.push(char::from(byte));
        } else {
            // A String takes all that is written.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}
