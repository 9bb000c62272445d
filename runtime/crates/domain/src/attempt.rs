//! What is known about a running attempt, and the keys it hands to whatever it calls.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{clock::UnixMillis, ids::SagaId};

/// Towards the saga's end, or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// `execute` and its `resume`.
    Forward,
    /// `compensate` and its `resume`.
    Undo,
}

impl Direction {
    /// As the journal has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Undo => "undo",
        }
    }
}

/// What a guest is told about its attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The saga.
    pub saga_id: SagaId,
    /// Its definition's name.
    pub saga: Arc<str>,
    /// Its definition's version.
    pub definition_version: u32,
    /// What it runs for, if it was started with a key.
    pub business_key: Option<Arc<str>>,
    /// The step's name.
    pub step: Arc<str>,
    /// Forward or undo.
    pub direction: Direction,
    /// From 1.
    pub number: u32,
    /// The same for every attempt of this step in this direction.
    pub idempotency_key: String,
    /// The forward attempts' key.
    pub forward_key: String,
    /// When the call is ended from outside.
    pub deadline: UnixMillis,
    /// W3C trace context.
    pub traceparent: Option<Arc<str>>,
}

/// The idempotency key of a step in a direction: the nonce keeps a business key that is used again from being
/// taken for its old run.
pub fn idempotency_key(saga: SagaId, nonce: u32, step: &str, direction: Direction) -> String {
    match direction {
        Direction::Forward => format!("{saga}/{nonce:08x}/{step}"),
        Direction::Undo => format!("{saga}/{nonce:08x}/{step}/undo"),
    }
}
