//! The flows on which tasks are worked off.

/// A task flow, as `wasaga.lanes.flow` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flow {
    /// Records on their way in: 16 lanes, by hash of (topic, partition, key).
    In,
    /// Messages on their way to the broker: lane 0, the relay's.
    Out,
    /// Messages that a plugin has yet to see before they are published: lane 0.
    HandleOut,
    /// Dead letters of `In`: 16 lanes.
    DeadIn,
    /// Dead letters of `Out`: 16 lanes.
    DeadOut,
}

impl Flow {
    /// As the table has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::HandleOut => "handle_out",
            Self::DeadIn => "dead_in",
            Self::DeadOut => "dead_out",
        }
    }
}
