//! The plugin's log, which the host writes with the plugin's and the saga's name; and the panics.
//!
//! Use the macros [`debug!`](crate::debug), [`info!`](crate::info), [`warn!`](crate::warn) and
//! [`error!`](crate::error).

use std::sync::Once;

pub use crate::bindings::imports::wasaga::plugin::logging::{Level, log};

/// A wasm panic is a bare trap; what it said and where goes to the host's log before it.
pub(crate) fn log_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
    });
}

/// Logs at this level: `log_at!(Level::Trace, "{} items", items.len())`.
#[macro_export]
macro_rules! log_at {
    ($level:expr, $($text:tt)+) => { $crate::log::log($level, &::std::format!($($text)+)) };
}

/// Logs at level debug, with `format!`'s arguments.
#[macro_export]
macro_rules! debug {
    ($($text:tt)+) => { $crate::log_at!($crate::log::Level::Debug, $($text)+) };
}

/// Logs at level info, with `format!`'s arguments.
#[macro_export]
macro_rules! info {
    ($($text:tt)+) => { $crate::log_at!($crate::log::Level::Info, $($text)+) };
}

/// Logs at level warn, with `format!`'s arguments.
#[macro_export]
macro_rules! warn {
    ($($text:tt)+) => { $crate::log_at!($crate::log::Level::Warn, $($text)+) };
}

/// Logs at level error, with `format!`'s arguments.
#[macro_export]
macro_rules! error {
    ($($text:tt)+) => { $crate::log_at!($crate::log::Level::Error, $($text)+) };
}
