//! `gofe:plugin/clock`: clocks.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::{Cx, Interface};

/// Where the monotonic clock begins.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_flat("now", |_: Cx<'_>, (): ()| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(now.as_nanos() as u64)
    })?;
    interface.func_flat("monotonic", |_: Cx<'_>, (): ()| Ok(START.elapsed().as_nanos() as u64))
}
