//! What arrives for a saga from outside its lease.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ids::Digest, message::Message, outcome::ChildEnd, payload::Payload};

/// A piece of mail, numbered from 1 within its saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Its place in the saga's mail.
    pub number: i64,
    /// What it says.
    pub content: MailContent,
}

/// What a piece of mail says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailContent {
    /// A message that a step waits for, or waited for.
    Reply {
        /// The step's place in the definition.
        step: u16,
        /// The key it came under.
        correlation: String,
        /// The message.
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
    Child(ChildEnd),
    /// What an operator asks for.
    Verb {
        /// Which thing.
        verb: Verb,
        /// Who, and why: for the history.
        by: Audit,
    },
}

/// What an operator may ask of a saga; the table keeps it as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Undo the saga.
    Cancel,
    /// Stop calling steps until it is resumed.
    Pause,
    /// Go on now: whatever waits for time is due, what gave up is tried again.
    Resume,
    /// Try a step (or its undo) again that gave up.
    Retry {
        /// The step's name.
        step: String,
        /// The module that runs it from now on; absent: the one that runs the saga's other steps.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        module: Option<Digest>,
    },
    /// Pass over a step (or its undo) that gave up.
    Skip {
        /// The step's name.
        step: String,
    },
    /// Replace what a step's undo is told, and try it again.
    SupplyUndo {
        /// The step's name.
        step: String,
        /// What its undo is told from now on.
        undo: Payload,
    },
    /// End the saga that asks for an operator: whatever is left was settled by hand.
    Resolve,
    /// Go on under another version of the definition.
    Migrate(Migration),
}

/// Where a saga is to be moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// The definition's version.
    pub to: u32,
    /// New names of steps, by the old ones; a step that is not named keeps its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub map: BTreeMap<String, String>,
}

/// Who asked for something, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Whoever the caller says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// A sentence for the history.
    pub reason: String,
}

impl Audit {
    /// Asked for by nobody in particular.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { by: None, reason: reason.into() }
    }
}

impl Verb {
    /// As the API and the history have it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry { .. } => "retry",
            Self::Skip { .. } => "skip",
            Self::SupplyUndo { .. } => "supply-undo",
            Self::Resolve => "resolve",
            Self::Migrate(_) => "migrate",
        }
    }
}
