//! `gofe:plugin/limiter`: token buckets and counters that all workers share.

use std::time::Duration;

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lower, WasmStr};

use super::{Guest, Interface};

#[derive(ComponentType, Lower)]
#[component(record)]
struct Decision {
    allowed: bool,
    remaining: u64,
    #[component(name = "retry-after")]
    retry_after: u64,
    #[component(name = "reset-after")]
    reset_after: u64,
}

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap(
        "take",
        |cx: StoreContextMut<'_, Guest>, (key, tokens, rate, period, burst): (WasmStr, u64, u64, u64, u64)| {
            let key = key.to_str(&cx)?;
            let decision = cx.data().env.space.take(&key, tokens, rate, Duration::from_nanos(period), burst);
            Ok((Decision {
                allowed: decision.allowed,
                remaining: decision.remaining,
                retry_after: decision.retry_after.as_nanos() as u64,
                reset_after: decision.reset_after.as_nanos() as u64,
            },))
        },
    )?;
    interface.func_wrap("add", |cx: StoreContextMut<'_, Guest>, (key, delta, ttl): (WasmStr, i64, u64)| {
        let key = key.to_str(&cx)?;
        Ok((cx.data().env.space.add(&key, delta, Duration::from_nanos(ttl)),))
    })?;
    interface.func_wrap("get", |cx: StoreContextMut<'_, Guest>, (key,): (WasmStr,)| {
        let key = key.to_str(&cx)?;
        Ok((cx.data().env.space.counter(&key),))
    })
}
