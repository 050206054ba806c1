//! `gofe:plugin/response`: the response in hand.

use super::fields::{self, MessageError, Side};
use super::{Cx, Guest, Interface};
use crate::http::final_status;

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    fields::link(interface, Side::Response)?;
    fields::link_preparing(interface)?;
    interface.func_flat("status", |cx: Cx<'_>, (): ()| {
        let response = cx.data().state.as_deref().and_then(|state| state.response.as_ref());
        Ok(response.map_or(0, |response| response.status.as_u16()))
    })?;
    interface.func("set-status", |mut cx: Cx<'_>, (status,): (u16,)| Ok(set_status(cx.data_mut(), status)))
}

fn set_status(guest: &mut Guest, status: u16) -> Result<(), MessageError> {
    let status = final_status(status.into()).ok_or(MessageError::Invalid)?;
    let state = guest.state.as_deref_mut().filter(|state| state.response_open).ok_or(MessageError::TooLate)?;
    state.response.as_mut().ok_or(MessageError::TooLate)?.status = status;
    Ok(())
}
