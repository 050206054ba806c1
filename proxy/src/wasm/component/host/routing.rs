//! `gofe:plugin/routing`: where the request shall go.

use std::borrow::Cow;

use wasmtime::component::{ComponentType, Lower};

use super::{Cx, Guest, Interface, Items, Text, stored_enum};
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

stored_enum!(RoutingError);

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func("set-upstream", |mut cx: Cx<'_>, (name,): (Text,)| {
        let name = name.read(&cx)?.into_owned();
        Ok(set_upstream(cx.data_mut(), name))
    })?;
    interface.func("set-subset", |mut cx: Cx<'_>, (labels,): (Items<(Text, Text)>,)| {
        let own = |text: &Text| text.read(&cx).map(Cow::into_owned);
        let labels = labels.iter().map(|(name, value)| Ok((own(name)?, own(value)?)));
        let labels = labels.collect::<wasmtime::Result<_>>()?;
        Ok(set_subset(cx.data_mut(), labels))
    })?;
    interface.func_flat("has-upstream", |cx: Cx<'_>, (name,): (Text,)| {
        Ok(cx.data().env.upstreams.contains(&*name.read(&cx)?))
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
