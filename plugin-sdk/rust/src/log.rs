//! The proxy's log. The macros [`trace!`](crate::trace), [`debug!`](crate::debug), [`info!`](crate::info),
//! [`warn!`](crate::warn) and [`error!`](crate::error) format only what is kept.

use crate::host;

pub use crate::bindings::gofe::plugin::log::Level;

/// Whether messages of this level are kept.
#[must_use]
pub fn enabled(level: Level) -> bool {
    host::log::enabled(level)
}

/// Writes a message. The proxy adds the plugin's name and the route.
pub fn write(level: Level, message: &str) {
    host::log::log(level, message);
}

/// Logs a formatted message at a [`Level`].
#[macro_export]
macro_rules! log {
    ($level:expr, $($message:tt)+) => {
        if $crate::log::enabled($level) {
            $crate::log::write($level, &::std::format!($($message)+));
        }
    };
}

/// Logs what only helps to follow the plugin step by step.
#[macro_export]
macro_rules! trace { ($($message:tt)+) => { $crate::log!($crate::log::Level::Trace, $($message)+) }; }

/// Logs what helps to find a mistake.
#[macro_export]
macro_rules! debug { ($($message:tt)+) => { $crate::log!($crate::log::Level::Debug, $($message)+) }; }

/// Logs what an operator may want to know.
#[macro_export]
macro_rules! info { ($($message:tt)+) => { $crate::log!($crate::log::Level::Info, $($message)+) }; }

/// Logs what an operator should look at.
#[macro_export]
macro_rules! warn { ($($message:tt)+) => { $crate::log!($crate::log::Level::Warn, $($message)+) }; }

/// Logs what went wrong.
#[macro_export]
macro_rules! error { ($($message:tt)+) => { $crate::log!($crate::log::Level::Error, $($message)+) }; }
