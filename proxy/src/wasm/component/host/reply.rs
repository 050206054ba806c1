//! `gofe:plugin/reply`: ways to end a request early.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::fields::{self, HeaderError};
use super::{Cx, Guest, Interface, Octets, Text};
use crate::chain::{Phase, Reply};
use crate::http::{Body, final_status};
use crate::wasm::fields::{MOST, add};

type Fields = Vec<(Text, Octets)>;

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func("send", |mut cx: Cx<'_>, (status, list, body): (u16, Fields, Octets)| {
        let headers = headers(&mut cx, &list)?;
        let body = Bytes::copy_from_slice(body.read(&cx)?);
        let Some(status) = final_status(status.into()) else {
            wasmtime::bail!("reply.send: {status} is not the status of a final response (200 to 599)");
        };
        Ok(headers.and_then(|headers| send(cx.data_mut(), status, headers, body)))
    })?;
    interface.func_flat("fail", |mut cx: Cx<'_>, (reason,): (Text,)| {
        let reason = reason.read(&cx)?.into_owned();
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

fn headers(cx: &mut Cx<'_>, list: &Fields) -> wasmtime::Result<Result<HeaderMap, HeaderError>> {
    let mut headers = HeaderMap::with_capacity(list.len().min(MOST));
    for (name, bytes) in list {
        let name = fields::writable(cx, name)?;
        let value = fields::value(bytes.read(cx)?);
        match name.and_then(|name| Ok((name, value?))) {
            Ok((name, value)) => add(&mut headers, name, value)?,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(headers))
}
