//! What happens in the life of a saga.

pub use crate::bindings::lifecycle::exports::wasaga::plugin::lifecycle::Event;

/// An event, and whose it is.
#[derive(Debug, PartialEq)]
pub struct Happened {
    /// The saga.
    pub saga_id: String,
    /// Its definition's name.
    pub saga: String,
    /// The same however often the event is handed over.
    pub event_id: String,
    /// What happened.
    pub event: Event,
}
