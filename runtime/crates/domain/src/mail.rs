//! What arrives for a saga from outside its lease.

use serde::{Deserialize, Serialize};

use crate::message::Message;

/// A piece of mail, numbered from 1 within its saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Its place in the saga's mail.
    pub number: i64,
    /// What it says.
    pub content: MailContent,
}

/// What a piece of mail says; the table keeps it as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
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
    /// Somebody asks to undo the saga.
    Cancel {
        /// Why, for the history.
        reason: String,
    },
    /// Somebody asks to go on now.
    Resume {
        /// Why, for the history.
        reason: String,
    },
}
