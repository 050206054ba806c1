//! `gofe:plugin/log`: the proxy's log.

use tracing::{Level, debug, error, info, trace, warn};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, WasmStr};

use super::{Guest, Interface};

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "values come from the guest and are lifted by wasmtime")]
enum LogLevel {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("enabled", |_: StoreContextMut<'_, Guest>, (level,): (LogLevel,)| {
        let level = match level {
            LogLevel::Trace => Level::TRACE,
            LogLevel::Debug => Level::DEBUG,
            LogLevel::Info => Level::INFO,
            LogLevel::Warn => Level::WARN,
            LogLevel::Error => Level::ERROR,
        };
        Ok((level <= tracing::level_filters::LevelFilter::current(),))
    })?;
    interface.func_wrap("log", |cx: StoreContextMut<'_, Guest>, (level, message): (LogLevel, WasmStr)| {
        let message = message.to_str(&cx)?;
        let guest = cx.data();
        let plugin = &*guest.env.name;
        let route = guest.state.as_deref().map(|state| &*state.route);
        match level {
            LogLevel::Trace => trace!(plugin, route, "{message}"),
            LogLevel::Debug => debug!(plugin, route, "{message}"),
            LogLevel::Info => info!(plugin, route, "{message}"),
            LogLevel::Warn => warn!(plugin, route, "{message}"),
            LogLevel::Error => error!(plugin, route, "{message}"),
        }
        Ok(())
    })
}
