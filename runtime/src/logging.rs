//! The log: standard error, so that standard output is for what a command prints.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{ConfigError, Log, LogFormat};

/// Starts it, once a process.
pub(crate) fn start(log: &Log) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|error| ConfigError::new(format!("log.filter = {:?}: {error}", log.filter)))?;
    let format =
        fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    let started = match log.format {
        LogFormat::Text => format.try_init(),
        LogFormat::Json => format.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| ConfigError::new(format!("log: {error}")))
}
