//! The append-only history of a saga: an entry for whatever changed it.

use crate::{
    attempt::Direction, clock::UnixMillis, ids::Digest, outcome::ErrorDetail, payload::Payload,
};

/// What an entry tells. The names are the journal's own; a new one also goes into the migration's CHECK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// An attempt of the step (or of its undo) succeeded.
    Succeeded,
    /// The guard skipped the step.
    Skipped,
    /// The attempt waits.
    Waiting,
    /// The attempt failed; another follows.
    Retrying,
    /// The step (or its undo) failed for good.
    Failed,
    /// Running attempts were lost with their host, more often than is tolerated.
    Interrupted,
    /// A message came when nobody waited for it any more.
    LateMessage,
    /// Somebody asked to cancel.
    Cancelled,
    /// Somebody asked to go on.
    Resumed,
    /// Somebody asked to stop calling steps.
    Paused,
    /// Somebody passed over a step (or its undo) that had given up.
    PassedOver,
    /// Somebody said what a step's undo needs to know.
    UndoSupplied,
    /// Somebody settled by hand what was left.
    Resolved,
    /// Somebody moved the saga to another version of its definition.
    Migrated,
    /// What somebody asked for was not possible.
    Declined,
    /// The saga started to be undone.
    Undoing,
    /// The saga stopped and asks for an operator.
    NeedsAttention,
    /// The saga ended: all its steps are done.
    Completed,
    /// The saga ended: what was done is undone.
    Compensated,
    /// The saga ended before anything needed undo.
    SagaFailed,
}

impl EntryKind {
    /// Every kind.
    pub const ALL: [Self; 20] = [
        Self::Succeeded,
        Self::Skipped,
        Self::Waiting,
        Self::Retrying,
        Self::Failed,
        Self::Interrupted,
        Self::LateMessage,
        Self::Cancelled,
        Self::Resumed,
        Self::Paused,
        Self::PassedOver,
        Self::UndoSupplied,
        Self::Resolved,
        Self::Migrated,
        Self::Declined,
        Self::Undoing,
        Self::NeedsAttention,
        Self::Completed,
        Self::Compensated,
        Self::SagaFailed,
    ];

    /// As the table has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Skipped => "skipped",
            Self::Waiting => "waiting",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::LateMessage => "late_message",
            Self::Cancelled => "cancelled",
            Self::Resumed => "resumed",
            Self::Paused => "paused",
            Self::PassedOver => "passed_over",
            Self::UndoSupplied => "undo_supplied",
            Self::Resolved => "resolved",
            Self::Migrated => "migrated",
            Self::Declined => "declined",
            Self::Undoing => "undoing",
            Self::NeedsAttention => "needs_attention",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::SagaFailed => "saga_failed",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One entry, as the engine writes it; the store numbers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it tells.
    pub kind: EntryKind,
    /// The step it is about, by its place in the definition.
    pub step: Option<u16>,
    /// Forward or undo.
    pub direction: Direction,
    /// The attempt's number, from 1; 0 where no attempt is meant.
    pub attempt: u32,
    /// What the step returned.
    pub output: Option<Payload>,
    /// What its undo needs to know.
    pub undo: Option<Payload>,
    /// What a waiting attempt is handed back.
    pub memo: Option<Payload>,
    /// What went wrong.
    pub error: Option<ErrorDetail>,
    /// The code that ran.
    pub digest: Option<Digest>,
    /// Who asked for it, where somebody did.
    pub by: Option<String>,
    /// When the attempt (for the saga's own entries: the change) began.
    pub started_at: UnixMillis,
    /// When it was decided.
    pub at: UnixMillis,
}

impl Entry {
    /// An entry about the saga itself.
    pub fn of_saga(kind: EntryKind, direction: Direction, at: UnixMillis) -> Self {
        Self {
            kind,
            step: None,
            direction,
            attempt: 0,
            output: None,
            undo: None,
            memo: None,
            error: None,
            digest: None,
            by: None,
            started_at: at,
            at,
        }
    }

    /// The same with an error.
    #[must_use]
    pub fn with_error(mut self, error: ErrorDetail) -> Self {
        self.error = Some(error);
        self
    }
}
