//! `gofe:plugin/metrics`: metrics of the plugin's own.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lower, WasmStr};

use super::{Guest, Interface};
use crate::telemetry::{Custom, CustomError};

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
enum MetricError {
    #[component(name = "denied")]
    Denied,
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "too-many")]
    TooMany,
}

type Labels = Vec<(String, String)>;

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("add", |cx: StoreContextMut<'_, Guest>, (name, labels, delta): (WasmStr, Labels, u64)| {
        record(&cx, &name, &labels, |custom, name, labels| custom.add(name, labels, delta))
    })?;
    interface.func_wrap("set", |cx: StoreContextMut<'_, Guest>, (name, labels, value): (WasmStr, Labels, f64)| {
        record(&cx, &name, &labels, |custom, name, labels| custom.set(name, labels, value))
    })?;
    interface.func_wrap("observe", |cx: StoreContextMut<'_, Guest>, (name, labels, value): (WasmStr, Labels, f64)| {
        record(&cx, &name, &labels, |custom, name, labels| custom.observe(name, labels, value))
    })
}

fn record(
    cx: &StoreContextMut<'_, Guest>,
    name: &WasmStr,
    labels: &Labels,
    write: impl FnOnce(&Custom, &str, &[(&str, &str)]) -> Result<(), CustomError>,
) -> wasmtime::Result<(Result<(), MetricError>,)> {
    let name = name.to_str(cx)?;
    let env = &cx.data().env;
    if !env.allow.metrics {
        return Ok((Err(MetricError::Denied),));
    }
    let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Ok((write(&env.custom, &name, &labels).map_err(|error| match error {
        CustomError::Invalid => MetricError::Invalid,
        CustomError::TooMany => MetricError::TooMany,
    }),))
}
