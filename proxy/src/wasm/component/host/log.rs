//! `gofe:plugin/log`: the proxy's log.

use tracing::{Level, debug, error, info, trace, warn};
use wasmtime::component::{ComponentType, Lift};

use super::{Cx, Interface, Text};

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(in super::super) enum LogLevel {
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

impl LogLevel {
    /// The level with this number in the contract.
    pub(in super::super) fn of(number: u64) -> Option<Self> {
        [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error].get(usize::try_from(number).ok()?).copied()
    }
}

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_flat("enabled", |_: Cx<'_>, (level,): (LogLevel,)| {
        let level = match level {
            LogLevel::Trace => Level::TRACE,
            LogLevel::Debug => Level::DEBUG,
            LogLevel::Info => Level::INFO,
            LogLevel::Warn => Level::WARN,
            LogLevel::Error => Level::ERROR,
        };
        Ok(level <= tracing::level_filters::LevelFilter::current())
    })?;
    interface.func_flat("log", |cx: Cx<'_>, (level, message): (LogLevel, Text)| {
        let message = message.read(&cx)?;
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
