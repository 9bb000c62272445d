//! A guest's event streams, without a database driver.

use crate::{payload::Payload, sql::SqlError};

/// Something that happened to an aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What kind of thing.
    pub event_type: String,
    /// What is to be known of it.
    pub payload: Payload,
}

/// An event and its place in its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// From 1, without gaps.
    pub version: u64,
    /// What was appended.
    pub event: Event,
}

/// What a stream's events up to a version come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// That of the last event in it.
    pub version: u64,
    /// By the plugin's own reckoning.
    pub state: Payload,
}

/// What is needed to know where an aggregate stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// The last one that was kept.
    pub snapshot: Option<Snapshot>,
    /// The events after it, in order.
    pub events: Vec<StoredEvent>,
}

/// Why the event store did not do it; the guest's transaction goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Somebody else appended first.
    #[error("the stream is at version {0}")]
    Conflict(u64),
    /// A sentence.
    #[error("{0}")]
    Other(String),
}

/// The transaction itself failed, and ends with it.
impl From<SqlError> for EventError {
    fn from(error: SqlError) -> Self {
        Self::Other(error.to_string())
    }
}
