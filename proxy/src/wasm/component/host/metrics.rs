//! `gofe:plugin/metrics`: metrics of the plugin's own.

use wasmtime::component::{ComponentType, Lower};

use super::{Cx, Interface, Text, stored_enum};
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

stored_enum!(MetricError);

type Labels = Vec<(Text, Text)>;

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func("add", |cx: Cx<'_>, (name, labels, delta): (Text, Labels, u64)| {
        record(&cx, &name, &labels, |custom, name, labels| custom.add(name, labels, delta))
    })?;
    interface.func("set", |cx: Cx<'_>, (name, labels, value): (Text, Labels, f64)| {
        record(&cx, &name, &labels, |custom, name, labels| custom.set(name, labels, value))
    })?;
    interface.func("observe", |cx: Cx<'_>, (name, labels, value): (Text, Labels, f64)| {
        record(&cx, &name, &labels, |custom, name, labels| custom.observe(name, labels, value))
    })
}

fn record(
    cx: &Cx<'_>,
    name: &Text,
    labels: &Labels,
    write: impl FnOnce(&Custom, &str, &[(&str, &str)]) -> Result<(), CustomError>,
) -> wasmtime::Result<Result<(), MetricError>> {
    let name = name.read(cx)?;
    let env = &cx.data().env;
    if !env.allow.metrics {
        return Ok(Err(MetricError::Denied));
    }
    let labels: Vec<_> =
        labels.iter().map(|(name, value)| Ok((name.read(cx)?, value.read(cx)?))).collect::<wasmtime::Result<_>>()?;
    let labels: Vec<_> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
    Ok(write(&env.custom, &name, &labels).map_err(|error| match error {
        CustomError::Invalid => MetricError::Invalid,
        CustomError::TooMany => MetricError::TooMany,
    }))
}
