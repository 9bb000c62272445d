//! What trips and their agency say to each other.

use serde::{Deserialize, Serialize};

/// Where the agency takes commands. Each has the header [`KEY`], and the trip as its record's key.
pub const COMMANDS: &str = "agency.commands";
/// Where it answers. Each reply has the header [`CORRELATION_ID`], and the command's record key.
pub const REPLIES: &str = "agency.replies";
/// The header with the command's idempotency key.
pub const KEY: &str = "idempotency-key";
/// The header with the idempotency key of the command that is answered.
pub const CORRELATION_ID: &str = "correlation-id";

/// What the agency is asked.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Book it, once for all commands of one key.
    Book {
        /// `flight`, `hotel` or `car`.
        kind: String,
        /// Which.
        what: String,
    },
    /// Cancel what was booked under a key, or never book it.
    Cancel {
        /// The key.
        forward_key: String,
        /// The booking's reference, where its reply came.
        reference: Option<i64>,
    },
}

/// What it answers.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// It is booked.
    Booked {
        /// The booking's reference.
        reference: i64,
    },
    /// It has done nothing.
    Refused {
        /// For programs.
        code: String,
        /// For people.
        reason: String,
    },
    /// Nothing of it is booked any more.
    Cancelled,
}
