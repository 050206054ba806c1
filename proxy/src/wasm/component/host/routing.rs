//! `gofe:plugin/routing`: where the request shall go.

use std::borrow::Cow;
use std::time::Duration;

use wasmtime::component::{ComponentType, Lift, Lower};

use super::fields::MessageError;
use super::{Cx, Guest, Interface, Text, stored_enum, stored_record};
use crate::chain::{Retrying, State};

/// The longest time that a plugin may choose.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

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

#[derive(ComponentType, Lift, Lower, Clone, Copy)]
#[component(record)]
pub(in super::super) struct RetryPolicy {
    pub(in super::super) attempts: u32,
    #[component(name = "per-try-timeout")]
    pub(in super::super) per_try_timeout: Option<u64>,
    #[component(name = "non-idempotent")]
    pub(in super::super) non_idempotent: bool,
}

stored_record!(RetryPolicy { attempts: u32, per_try_timeout: Option<u64>, non_idempotent: bool });

impl From<Retrying> for RetryPolicy {
    fn from(retrying: Retrying) -> Self {
        let Retrying { attempts, per_try_timeout, non_idempotent } = retrying;
        Self { attempts, per_try_timeout: per_try_timeout.map(nanoseconds), non_idempotent }
    }
}

impl RetryPolicy {
    fn checked(self) -> Result<Retrying, MessageError> {
        let Self { attempts, per_try_timeout, non_idempotent } = self;
        if !(1..=10).contains(&attempts) {
            return Err(MessageError::Invalid);
        }
        Ok(Retrying { attempts, per_try_timeout: per_try_timeout.map(time).transpose()?, non_idempotent })
    }
}

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func("set-upstream", |mut cx: Cx<'_>, (name,): (Text,)| {
        let name = name.read(&cx)?.into_owned();
        Ok(set_upstream(cx.data_mut(), name))
    })?;
    interface.func("set-subset", |mut cx: Cx<'_>, (labels,): (Vec<(Text, Text)>,)| {
        let own = |text: &Text| text.read(&cx).map(Cow::into_owned);
        let labels = labels.iter().map(|(name, value)| Ok((own(name)?, own(value)?)));
        let labels = labels.collect::<wasmtime::Result<_>>()?;
        Ok(set_subset(cx.data_mut(), labels))
    })?;
    interface.func_flat("has-upstream", |cx: Cx<'_>, (name,): (Text,)| {
        Ok(cx.data().env.upstreams.contains(&*name.read(&cx)?))
    })?;
    interface.func("upstream", |cx: Cx<'_>, (): ()| {
        let state = cx.data().state.as_deref();
        Ok(state.and_then(|state| match &state.routing.upstream {
            Some(chosen) => Some(chosen.as_ref().into()),
            None => state.directory.route_upstream(&state.route),
        }))
    })?;
    interface.func("set-hash-key", |mut cx: Cx<'_>, (key,): (Text,)| {
        let key = key.read(&cx)?.into_owned();
        Ok(open(cx.data_mut()).map(|state| state.routing.hash_key = Some(key.into_bytes().into())))
    })?;
    interface.func_flat("timeout", |cx: Cx<'_>, (): ()| {
        Ok(cx.data().state.as_deref().map_or(0, |state| nanoseconds(state.timeout)))
    })?;
    interface
        .func("set-timeout", |mut cx: Cx<'_>, (nanoseconds,): (u64,)| Ok(set_timeout(cx.data_mut(), nanoseconds)))?;
    interface
        .func("retry", |cx: Cx<'_>, (): ()| Ok(cx.data().state.as_deref().and_then(retry).map(RetryPolicy::from)))?;
    interface
        .func("set-retry", |mut cx: Cx<'_>, (policy,): (Option<RetryPolicy>,)| Ok(set_retry(cx.data_mut(), policy)))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A time that a plugin may choose.
fn time(nanoseconds: u64) -> Result<Duration, MessageError> {
    let time = Duration::from_nanos(nanoseconds);
    if time.is_zero() || time > A_DAY { Err(MessageError::Invalid) } else { Ok(time) }
}

fn set_timeout(guest: &mut Guest, nanoseconds: u64) -> Result<(), MessageError> {
    let timeout = time(nanoseconds)?;
    open(guest).map_err(|_| MessageError::TooLate)?.timeout = timeout;
    Ok(())
}

fn retry(state: &State) -> Option<Retrying> {
    match &state.routing.retry {
        Some(chosen) => **chosen,
        None => state.directory.retry(state.routing.upstream.as_deref(), &state.route),
    }
}

fn set_retry(guest: &mut Guest, policy: Option<RetryPolicy>) -> Result<(), MessageError> {
    let policy = policy.map(RetryPolicy::checked).transpose()?;
    open(guest).map_err(|_| MessageError::TooLate)?.routing.retry = Some(Box::new(policy));
    Ok(())
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
