//! Features, configuration and the log.

use tracing::level_filters::LevelFilter;
use tracing::{Level, debug, error, info, warn};
use wasmtime::{Caller, Linker};

use super::super::call::{BUFFER_REQUEST, BUFFER_RESPONSE, TRAILERS};
use super::super::guest::Guest;
use super::{MODULE, give, memory, split};

/// The longest message that is logged; of a longer one, so much.
const MAX_MESSAGE: usize = 8 << 10;

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "enable_features", |mut caller: Caller<'_, Guest>, features: u32| {
        let call = &mut caller.data_mut().call;
        // Afterwards it is too late: they hold for what the next handler does.
        if !call.after_next {
            call.features |= features & (BUFFER_REQUEST | BUFFER_RESPONSE | TRAILERS);
        }
        call.features
    })?;
    linker.func_wrap(MODULE, "get_config", |mut caller: Caller<'_, Guest>, at: u32, room: u32| {
        let (bytes, guest) = split(&mut caller)?;
        give(bytes, at, room, &guest.env.config_bytes())
    })?;
    linker.func_wrap(MODULE, "log_enabled", |_: Caller<'_, Guest>, level: i32| {
        u32::from(self::level(level).is_some_and(|level| level <= LevelFilter::current()))
    })?;
    linker.func_wrap(MODULE, "log", |mut caller: Caller<'_, Guest>, level: i32, at: u32, length: u32| {
        let (bytes, guest) = split(&mut caller)?;
        let message = memory::read(bytes, at, length)?;
        let message = String::from_utf8_lossy(&message[..message.len().min(MAX_MESSAGE)]);
        let plugin = &*guest.env.name;
        let route = guest.state.as_deref().map(|state| &*state.route);
        match self::level(level) {
            Some(Level::DEBUG) => debug!(plugin, route, "{message}"),
            Some(Level::INFO) => info!(plugin, route, "{message}"),
            Some(Level::WARN) => warn!(plugin, route, "{message}"),
            Some(_) => error!(plugin, route, "{message}"),
            None => {}
        }
        Ok(())
    })?;
    Ok(())
}

/// The level that the ABI's number means; 3 is no log at all.
fn level(level: i32) -> Option<Level> {
    match level {
        ..0 => Some(Level::DEBUG),
        0 => Some(Level::INFO),
        1 => Some(Level::WARN),
        2 => Some(Level::ERROR),
        3.. => None,
    }
}
