//! `gofe:plugin/routing`: where the request shall go.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lower, WasmStr};

use super::{Guest, Interface};
use crate::chain::State;

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
enum RoutingError {
    #[component(name = "unknown")]
    Unknown,
    #[component(name = "too-late")]
    TooLate,
}

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("set-upstream", |mut cx: StoreContextMut<'_, Guest>, (name,): (WasmStr,)| {
        let name = name.to_str(&cx)?.into_owned();
        Ok((set_upstream(cx.data_mut(), name),))
    })?;
    interface.func_wrap("set-subset", |mut cx: StoreContextMut<'_, Guest>, (labels,): (Vec<(String, String)>,)| {
        Ok((set_subset(cx.data_mut(), labels),))
    })?;
    interface.func_wrap("has-upstream", |cx: StoreContextMut<'_, Guest>, (name,): (WasmStr,)| {
        Ok((cx.data().env.upstreams.contains(&*name.to_str(&cx)?),))
    })
}

fn open(guest: &mut Guest) -> Result<&mut State, RoutingError> {
    guest.state.as_deref_mut().filter(|state| state.request_open).ok_or(RoutingError::TooLate)
}

fn set_upstream(guest: &mut Guest, name: String) -> Result<(), RoutingError> {
    let state = open(guest)?;
    if !state.directory.has_upstream(&name) {
        return Err(RoutingError::Unknown);
    }
    state.routing.upstream = Some(name.into());
    // Labels that were chosen before spoke of another upstream.
    state.routing.subset.clear();
    Ok(())
}

fn set_subset(guest: &mut Guest, labels: Vec<(String, String)>) -> Result<(), RoutingError> {
    let state = open(guest)?;
    if !state.directory.has_subset(state.routing.upstream.as_deref(), &state.route, &labels) {
        return Err(RoutingError::Unknown);
    }
    state.routing.subset = labels;
    Ok(())
}
