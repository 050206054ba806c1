//! `gofe:plugin/limiter`: token buckets and counters that all workers share.

use std::time::Duration;

use wasmtime::component::{ComponentType, Lower};

use super::{Cx, Interface, Text, stored_record};

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

stored_record!(Decision { allowed: bool, remaining: u64, retry_after: u64, reset_after: u64 });

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func("take", |cx: Cx<'_>, (key, tokens, rate, period, burst): (Text, u64, u64, u64, u64)| {
        let key = key.read(&cx)?;
        let decision = cx.data().env.space.take(&key, tokens, rate, Duration::from_nanos(period), burst);
        Ok(Decision {
            allowed: decision.allowed,
            remaining: decision.remaining,
            retry_after: decision.retry_after.as_nanos() as u64,
            reset_after: decision.reset_after.as_nanos() as u64,
        })
    })?;
    interface.func_flat("add", |cx: Cx<'_>, (key, delta, ttl): (Text, i64, u64)| {
        let key = key.read(&cx)?;
        Ok(cx.data().env.space.add(&key, delta, Duration::from_nanos(ttl)))
    })?;
    interface.func_flat("get", |cx: Cx<'_>, (key,): (Text,)| {
        let key = key.read(&cx)?;
        Ok(cx.data().env.space.counter(&key))
    })
}
