//! Sagas that start by the clock.

use serde::Serialize;
use serde_json::Value;

use super::Trigger;

/// Starts a saga at each time of a cron expression.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Schedule {
    cron: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    misfire: Option<Misfire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Value>,
}

/// What becomes of occurrences whose time passed while no host ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// Nothing.
    Skip,
    /// The latest of them starts a saga: the default.
    Once,
    /// Each of them starts a saga.
    All,
}

impl Trigger {
    /// The times of a cron expression, UTC: `0 3 * * *` is each night at three. A sixth field, before the others, is
    /// the second.
    pub fn schedule(cron: impl Into<String>) -> Schedule {
        Schedule { cron: cron.into(), misfire: None, input: None }
    }
}

impl Schedule {
    /// What becomes of occurrences whose time passed while no host ran.
    pub fn misfire(mut self, misfire: Misfire) -> Self {
        self.misfire = Some(misfire);
        self
    }

    /// The sagas' input. An object gets the field `scheduled_at`, which is all there is where no input is set.
    pub fn input(mut self, input: Value) -> Self {
        self.input = Some(input);
        self
    }
}

impl From<Schedule> for Trigger {
    fn from(schedule: Schedule) -> Self {
        Self::Schedule(schedule)
    }
}
