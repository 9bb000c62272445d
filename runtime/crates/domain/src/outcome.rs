//! How an attempt ends: what a worker returns, and what went wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ids::SagaId,
    message::{Message, Outgoing},
    payload::Payload,
    start::NewSaga,
    state::Status,
};

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
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A message for the outbox.
    Send(Outgoing),
    /// A saga to start, now or before.
    Start(Box<SagaStart>),
    /// A signal to a saga. One that has ended, or never was, does not hear it.
    Signal {
        /// Which saga.
        saga: SagaId,
        /// The signal's name.
        name: String,
        /// What it carries.
        payload: Payload,
    },
    /// A saga to turn back. One that has ended, never was or is past its pivot does not.
    Cancel(SagaId),
}

impl Effect {
    /// Whether it goes to the outbox; others reach sagas.
    pub fn is_message(&self) -> bool {
        matches!(self, Self::Send(_))
    }
}

/// A saga that a worker starts; under a key that was used before, it is that one.
#[derive(Clone, Debug, PartialEq)]
pub struct SagaStart {
    /// The saga.
    pub saga: NewSaga,
    /// Its name among its parent's children; absent: it is nobody's child.
    pub child: Option<String>,
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
    /// The next signal of this name.
    Signal(String),
    /// The end of the child of this name.
    Child(String),
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
    /// A signal.
    Signal {
        /// Its name.
        name: String,
        /// What it carries.
        payload: Payload,
    },
    /// A child has ended.
    Child {
        /// Its name.
        name: String,
        /// How.
        end: Box<ChildEnd>,
    },
    /// Nothing came in time.
    TimedOut,
}

/// How a child saga ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildEnd {
    /// Which saga.
    pub saga: SagaId,
    /// Its final status.
    pub status: Status,
    /// What its last step returned, if it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// Why it was undone, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorDetail>,
}

/// A step that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// What later steps and the saga's reader see.
    pub output: Payload,
    /// Kept for `compensate`.
    pub undo: Option<Payload>,
    /// Committed with it.
    pub effects: Vec<Effect>,
}

/// A step that waits.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
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
