//! Which messages of the outbox somebody means.

use std::time::Duration;

use crate::{
    clock::parse_duration,
    search::{no_nul, once},
};

/// Where a task stands, as `wasaga.task_out.status` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskStatus {
    /// To be done.
    Wait,
    /// A worker has it.
    Work,
    /// Done.
    Ready,
    /// Given up.
    Error,
    /// Given up, and its rollback message is a task of its own.
    Rollback,
    /// Given up, without a rollback message.
    ErrorRollbackNone,
}

impl TaskStatus {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Wait, Self::Work, Self::Ready, Self::Error, Self::Rollback, Self::ErrorRollbackNone];

    /// As the table has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Work => "work",
            Self::Ready => "ready",
            Self::Error => "error",
            Self::Rollback => "rollback",
            Self::ErrorRollbackNone => "error_rollback_none",
        }
    }

    /// The status of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether the task is still to be done.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Wait | Self::Work)
    }
}

/// Which messages are meant: those that fit all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// To this topic.
    pub topic: Option<String>,
    /// With this key, as text.
    pub key: Option<String>,
    /// In one of these; empty: in any.
    pub statuses: Vec<TaskStatus>,
    /// Of this aggregate.
    pub aggregate_id: Option<String>,
    /// Of this type.
    pub event_type: Option<String>,
    /// Emitted under this key.
    pub idempotency_key: Option<String>,
    /// Emitted longer ago than this.
    pub older_than: Option<Duration>,
}

impl MessageFilter {
    /// The names of its conditions, as the API and the command line have them.
    pub const NAMES: &str =
        "topic, key, status, aggregate_id, event_type, idempotency_key and older_than";

    /// Whether every message fits.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes in a condition, all text; answers whether there is one of this name, or what is wrong with its value.
    pub fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "topic" => once(&mut self.topic, value.to_owned())?,
            "key" => once(&mut self.key, value.to_owned())?,
            "aggregate_id" => once(&mut self.aggregate_id, value.to_owned())?,
            "event_type" => once(&mut self.event_type, value.to_owned())?,
            "idempotency_key" => once(&mut self.idempotency_key, value.to_owned())?,
            "older_than" => once(&mut self.older_than, parse_duration(value)?)?,
            "status" => {
                for name in value.split(',') {
                    self.statuses.push(TaskStatus::parse(name).ok_or_else(|| unknown(name))?);
                }
            }
            _ => return Ok(false),
        }
        no_nul(value).map(|()| true)
    }
}

fn unknown(name: &str) -> String {
    let known = TaskStatus::ALL.map(TaskStatus::as_str).join(", ");
    format!("{name:?} is no status; there are {known}")
}
