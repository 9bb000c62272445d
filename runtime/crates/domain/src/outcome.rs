//! How an attempt ends: what a worker returns, and what went wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{message::Message, message::Outgoing, payload::Payload};

/// What went wrong, for the machine (`code`) and for the operator (`message`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// Short and stable, as `payment-declined`.
    pub code: String,
    /// A sentence for a person.
    pub message: String,
    /// What a program may want to know besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Payload>,
}

impl ErrorDetail {
    /// An error without data.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), data: None }
    }
}

/// Why an attempt did not end well, by what has to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The attempt did nothing: retry under the policy, not before `after`.
    Retryable {
        /// What went wrong.
        detail: ErrorDetail,
        /// The worker's own wish; the policy may wait longer.
        after: Option<Duration>,
    },
    /// The effect has not happened and never will.
    Permanent(ErrorDetail),
    /// The effect may have happened.
    Unknown(ErrorDetail),
    /// Nobody could be called (no such plugin here yet): tried again without counting as an attempt.
    Unavailable(ErrorDetail),
}

impl Failure {
    /// What went wrong.
    pub fn detail(&self) -> &ErrorDetail {
        match self {
            Self::Retryable { detail, .. }
            | Self::Permanent(detail)
            | Self::Unknown(detail)
            | Self::Unavailable(detail) => detail,
        }
    }
}

/// A durable side effect, committed with the result that returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A message for the outbox.
    Send(Outgoing),
}

/// What a step may wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitSource {
    /// The next message of this topic with this correlation key.
    Message {
        /// The topic's name.
        topic: String,
        /// What the subscription's locator finds in the message.
        correlation: String,
    },
}

/// What ended a wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// A message.
    Message {
        /// The correlation key it came under.
        correlation: String,
        /// The message itself.
        message: Message,
    },
    /// Nothing came in time.
    TimedOut,
}

/// A step that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What later steps and the saga's reader see.
    pub output: Payload,
    /// Kept for `compensate`.
    pub undo: Option<Payload>,
    /// Committed with it.
    pub effects: Vec<Effect>,
}

/// A step that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The first of these ends the wait; none: only time does.
    pub sources: Vec<WaitSource>,
    /// From now; absent: until the step's timeout.
    pub timeout: Option<Duration>,
    /// Committed with it.
    pub effects: Vec<Effect>,
    /// What `compensate` needs should the saga fail meanwhile.
    pub undo: Option<Payload>,
    /// Handed back to `resume`.
    pub memo: Option<Payload>,
}

/// How a step's attempt ended, when it did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// Done.
    Done(Done),
    /// Waiting.
    Wait(Wait),
    /// The guard skipped it.
    Skipped,
    /// The guard refused it: a permanent failure without an effect.
    Rejected(ErrorDetail),
}
