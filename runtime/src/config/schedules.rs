//! `[schedules]`: what starts by the clock.

use std::time::Duration;

use serde::Deserialize;
use wasaga_engine::schedules::{Bounds, ScheduleOptions};

use super::at_least;

/// How schedules are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedules {
    /// How often to look for what is due.
    pub poll_ms: u64,
    /// An occurrence that is later than this is a misfire.
    pub tolerance_ms: u64,
    /// Starts of one schedule at one look.
    pub batch: usize,
}

impl Default for Schedules {
    fn default() -> Self {
        let ScheduleOptions { poll, bounds: Bounds { tolerance, batch } } =
            ScheduleOptions::default();
        Self { poll_ms: poll.as_millis() as u64, tolerance_ms: tolerance.as_millis() as u64, batch }
    }
}

impl Schedules {
    /// What the schedules are started with.
    pub fn options(&self) -> ScheduleOptions {
        let tolerance = Duration::from_millis(self.tolerance_ms);
        let bounds = Bounds { tolerance, batch: self.batch };
        ScheduleOptions { poll: Duration::from_millis(self.poll_ms), bounds }
    }

    pub(super) fn fault(&self) -> Option<String> {
        at_least("schedules.poll_ms", self.poll_ms, 10)
            .or_else(|| at_least("schedules.tolerance_ms", self.tolerance_ms, 2 * self.poll_ms))
            .or_else(|| at_least("schedules.batch", self.batch, 1))
    }
}
