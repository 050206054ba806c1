//! The log, the clock and the timer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::level_filters::LevelFilter;
use tracing::{debug, error, info, trace, warn};
use wasmtime::Linker;

use super::super::abi::{Answer, Cx, Status};
use super::super::data::Host;
use super::{function, memory, parts, put_u32, put_u64};

/// The longest line; what is longer is cut.
pub(super) const MAX_LINE: usize = 8 << 10;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    function!(linker, "proxy_log", log, (level: u32, at: u32, length: u32));
    function!(linker, "proxy_get_log_level", get_log_level, (level_at: u32));
    function!(linker, "proxy_get_current_time_nanoseconds", get_current_time, (time_at: u32));
    function!(linker, "proxy_set_tick_period_milliseconds", set_tick_period, (period: u32));
    Ok(())
}

fn log(cx: &mut Cx<'_>, level: u32, at: u32, length: u32) -> Answer {
    let (memory, host) = parts(cx)?;
    let line = memory::read(memory, at, length)?;
    if level > 5 {
        return Err(Status::BadArgument.into());
    }
    write(host, level, line);
    Ok(())
}

/// Writes a line to gofe's log.
pub(super) fn write(host: &Host, level: u32, line: &[u8]) {
    let line = String::from_utf8_lossy(&line[..line.len().min(MAX_LINE)]);
    let plugin = &*host.env.name;
    let route = host.state().map(|state| &*state.route);
    match level {
        0 => trace!(plugin, route, "{line}"),
        1 => debug!(plugin, route, "{line}"),
        2 => info!(plugin, route, "{line}"),
        3 => warn!(plugin, route, "{line}"),
        _ => error!(plugin, route, "{line}"),
    }
}

fn get_log_level(cx: &mut Cx<'_>, level_at: u32) -> Answer {
    let current = LevelFilter::current();
    let level = match current {
        LevelFilter::TRACE => 0,
        LevelFilter::DEBUG => 1,
        LevelFilter::INFO => 2,
        LevelFilter::WARN => 3,
        LevelFilter::ERROR => 4,
        _ => 5,
    };
    put_u32(cx, level_at, level)
}

fn get_current_time(cx: &mut Cx<'_>, time_at: u32) -> Answer {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    put_u64(cx, time_at, now.as_nanos() as u64)
}

fn set_tick_period(cx: &mut Cx<'_>, period: u32) -> Answer {
    cx.data_mut().tick = (period != 0).then(|| Duration::from_millis(u64::from(period)));
    Ok(())
}
