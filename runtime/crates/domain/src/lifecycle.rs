//! What happens in the life of a saga, for whoever wants to hear of it: the definition's lifecycle topic, and the
//! plugin's `lifecycle` export.

use serde::{Deserialize, Serialize};

use crate::{ids::SagaId, outcome::ErrorDetail, payload::Payload};

/// The plugin's events wait as in tasks of a topic that Kafka can't have: this, and the plugin's name.
pub const HOOKS: &str = "wasaga:lifecycle:";

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum LifecycleEvent {
    /// It was accepted.
    Started,
    /// A step is done.
    StepSucceeded {
        /// Its name.
        step: String,
    },
    /// A step failed for good.
    StepFailed {
        /// Its name.
        step: String,
        /// Why.
        error: ErrorDetail,
    },
    /// A step is undone.
    StepCompensated {
        /// Its name.
        step: String,
    },
    /// All steps are done.
    Completed {
        /// What the last of them returned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Payload>,
    },
    /// It failed, and there was nothing to undo.
    Failed {
        /// Why.
        error: ErrorDetail,
    },
    /// It failed, and is undone.
    Compensated {
        /// Why.
        error: ErrorDetail,
    },
    /// It asks for an operator.
    NeedsAttention {
        /// Why.
        error: ErrorDetail,
    },
}

/// An event, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The same however often it is told.
    pub event_id: String,
    /// The saga.
    pub saga_id: SagaId,
    /// Its definition's name.
    pub saga: String,
    /// Its definition's version.
    pub version: u32,
    /// What it runs for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_key: Option<String>,
    /// When it happened, RFC 3339, UTC.
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub event: LifecycleEvent,
}
