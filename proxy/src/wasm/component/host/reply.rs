//! `gofe:plugin/reply`: ways to end a request early.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use wasmtime::StoreContextMut;
use wasmtime::component::{WasmList, WasmStr};

use super::fields::{self, HeaderError};
use super::response::final_status;
use super::{Guest, Interface};
use crate::chain::{Phase, Reply};
use crate::http::Body;

type Fields = Vec<(WasmStr, WasmList<u8>)>;

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap(
        "send",
        |mut cx: StoreContextMut<'_, Guest>, (status, list, body): (u16, Fields, WasmList<u8>)| {
            let headers = headers(&mut cx, &list)?;
            let body = Bytes::copy_from_slice(body.as_le_slice(&cx));
            let Some(status) = final_status(status) else {
                wasmtime::bail!("reply.send: {status} is not the status of a final response (200 to 599)");
            };
            Ok((headers.and_then(|headers| send(cx.data_mut(), status, headers, body)),))
        },
    )?;
    interface.func_wrap("fail", |mut cx: StoreContextMut<'_, Guest>, (reason,): (WasmStr,)| {
        let reason = reason.to_str(&cx)?.into_owned();
        if let Some(state) = cx.data_mut().state.as_deref_mut() {
            state.failure = Some(reason);
        }
        Ok(())
    })
}

fn send(guest: &mut Guest, status: StatusCode, headers: HeaderMap, body: Bytes) -> Result<(), HeaderError> {
    let state = guest.state.as_deref_mut().ok_or(HeaderError::TooLate)?;
    let too_late = match state.phase {
        Phase::RequestHeaders | Phase::RequestBody => state.response.is_some(),
        Phase::ResponseHeaders | Phase::ResponseBody => !state.response_open,
        Phase::Complete => true,
    };
    if too_late {
        return Err(HeaderError::TooLate);
    }
    state.reply = Some(Reply { status, headers, body: Body::full(body) });
    Ok(())
}

fn headers(cx: &mut StoreContextMut<'_, Guest>, list: &Fields) -> wasmtime::Result<Result<HeaderMap, HeaderError>> {
    let mut headers = HeaderMap::with_capacity(list.len());
    for (name, bytes) in list {
        let name = fields::writable(cx, name)?;
        match name.and_then(|name| Ok((name, fields::value(bytes.as_le_slice(&*cx))?))) {
            Ok((name, value)) => headers.append(name, value),
            Err(error) => return Ok(Err(error)),
        };
    }
    Ok(Ok(headers))
}
