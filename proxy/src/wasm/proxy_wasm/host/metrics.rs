//! Metrics of the plugin's own: what YAML grants with `metrics`.

use wasmtime::Linker;

use super::super::abi::{Answer, Cx, Status};
use super::super::data::{Host, Metric};
use super::{function, is_place, memory, parts, put_u32, put_u64};
use crate::telemetry::CustomError;

/// The most metrics of one VM.
const MAX_METRICS: usize = 1000;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    function!(linker, "proxy_define_metric", define, (kind: u32, name: u32, name_length: u32, number_at: u32));
    function!(linker, "proxy_record_metric", record, (number: u32, value: u64));
    function!(linker, "proxy_increment_metric", increment, (number: u32, delta: i64));
    function!(linker, "proxy_get_metric", get, (number: u32, value_at: u32));
    Ok(())
}

impl Host {
    fn metric(&self, number: u32) -> Result<&(Metric, String), Status> {
        let at = (number as usize).checked_sub(1).ok_or(Status::NotFound)?;
        self.metrics.get(at).ok_or(Status::NotFound)
    }

    /// Says once that the configuration does not grant something.
    pub(super) fn denied(&mut self, what: &str) {
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(plugin = &*self.env.name, "{what}");
        }
    }
}

/// A name as Prometheus has them: what else is in it becomes `_`.
fn clean(name: &[u8]) -> String {
    let mut clean: String = name
        .iter()
        .take(128)
        .map(|&byte| if byte.is_ascii_alphanumeric() || byte == b'_' { char::from(byte) } else { '_' })
        .collect();
    if clean.as_bytes().first().is_none_or(u8::is_ascii_digit) {
        clean.insert(0, '_');
        clean.truncate(128);
    }
    clean
}

fn define(cx: &mut Cx<'_>, kind: u32, name: u32, name_length: u32, number_at: u32) -> Answer {
    is_place(cx, number_at)?;
    let (memory, host) = parts(cx)?;
    let name = clean(memory::read(memory, name, name_length)?);
    let kind = match kind {
        0 => Metric::Counter,
        1 => Metric::Gauge,
        2 => Metric::Histogram,
        _ => return Err(Status::BadArgument.into()),
    };
    if !host.env.allow.metrics {
        host.denied("it defines a metric, which the configuration does not grant (`allow: { metrics: true }`)");
        return Err(Status::InternalFailure.into());
    }
    let known = host.metrics.iter().position(|metric| metric.0 == kind && metric.1 == name);
    let at = match known {
        Some(at) => at,
        None if host.metrics.len() >= MAX_METRICS => return Err(Status::InternalFailure.into()),
        None => {
            // It is there from now on, whatever its value.
            let made = match kind {
                Metric::Counter => host.env.custom.add(&name, &[], 0),
                Metric::Gauge => host.env.custom.shift(&name, &[], 0.0),
                Metric::Histogram => Ok(()),
            };
            made.map_err(refused)?;
            host.metrics.push((kind, name));
            host.metrics.len() - 1
        }
    };
    put_u32(cx, number_at, at as u32 + 1)
}

fn refused(error: CustomError) -> Status {
    match error {
        CustomError::Invalid => Status::BadArgument,
        CustomError::TooMany => Status::InternalFailure,
    }
}

fn record(cx: &mut Cx<'_>, number: u32, value: u64) -> Answer {
    let host = cx.data();
    let (kind, name) = host.metric(number)?;
    let written = match kind {
        // A counter cannot be set: it is counted up by the value, as Envoy does.
        Metric::Counter => host.env.custom.add(name, &[], value),
        Metric::Gauge => host.env.custom.set(name, &[], value as f64),
        Metric::Histogram => host.env.custom.observe(name, &[], value as f64),
    };
    Ok(written.map_err(refused)?)
}

fn increment(cx: &mut Cx<'_>, number: u32, delta: i64) -> Answer {
    let host = cx.data();
    let (kind, name) = host.metric(number)?;
    let written = match kind {
        Metric::Counter => host.env.custom.add(name, &[], u64::try_from(delta).map_err(|_| Status::BadArgument)?),
        Metric::Gauge => host.env.custom.shift(name, &[], delta as f64),
        Metric::Histogram => return Err(Status::BadArgument.into()),
    };
    Ok(written.map_err(refused)?)
}

fn get(cx: &mut Cx<'_>, number: u32, value_at: u32) -> Answer {
    let host = cx.data();
    let (_, name) = host.metric(number)?;
    let value = host.env.custom.read(name, &[]).ok_or(Status::BadArgument)?;
    put_u64(cx, value_at, value as u64)
}
