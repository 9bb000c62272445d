//! `[engine]`: how much sagas take at once.

use std::time::Duration;

use serde::Deserialize;
use wasaga_engine::driver::EngineOptions;

use super::at_least;

/// How much sagas take at once, and how long this host's word holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// Sagas held at once.
    pub concurrency: usize,
    /// Transitions, or starts, in one transaction.
    pub batch: usize,
    /// Commits under way at once.
    pub committers: usize,
    /// How often to look for work that nobody announced.
    pub sweep_ms: u64,
    /// How long others wait before they take over what this host holds.
    pub lease_ms: u64,
    /// How long a stop takes at most.
    pub stop_timeout_ms: u64,
}

impl Default for Engine {
    fn default() -> Self {
        let EngineOptions { held, batch, committers, sweep, .. } = EngineOptions::default();
        Self {
            concurrency: held,
            batch,
            committers,
            sweep_ms: sweep.as_millis() as u64,
            lease_ms: 10_000,
            stop_timeout_ms: 20_000,
        }
    }
}

impl Engine {
    /// What the driver is started with.
    pub fn options(&self) -> EngineOptions {
        EngineOptions {
            held: self.concurrency,
            batch: self.batch,
            committers: self.committers,
            sweep: Duration::from_millis(self.sweep_ms),
            grace: self.grace(),
        }
    }

    /// How long this host's leases are.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// How long a stop takes at most.
    pub fn stop_timeout(&self) -> Duration {
        Duration::from_millis(self.stop_timeout_ms)
    }

    /// How much of a stop each part may take.
    pub(super) fn grace(&self) -> Duration {
        self.stop_timeout() / 4
    }

    pub(super) fn fault(&self) -> Option<String> {
        at_least("engine.concurrency", self.concurrency, 1)
            .or_else(|| at_least("engine.batch", self.batch, 1))
            .or_else(|| at_least("engine.committers", self.committers, 1))
            .or_else(|| at_least("engine.sweep_ms", self.sweep_ms, 10))
            .or_else(|| at_least("engine.lease_ms", self.lease_ms, 1_000))
            .or_else(|| at_least("engine.stop_timeout_ms", self.stop_timeout_ms, 1_000))
    }
}
