//! Where a saga stands. `decide` in the engine is the only place that changes it.

use serde::{Deserialize, Serialize};

use crate::{
    attempt::Direction,
    clock::UnixMillis,
    outcome::{Arrival, ErrorDetail, WaitSource},
};

/// What the saga's reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted; no attempt has ended yet.
    Pending,
    /// Steps run, or wait for their next attempt.
    Running,
    /// All open steps wait for something from outside.
    Waiting,
    /// An operator stopped it.
    Paused,
    /// Being undone.
    Compensating,
    /// All steps are done. Final.
    Completed,
    /// What was done is undone. Final.
    Compensated,
    /// Failed before anything needed undo. Final.
    Failed,
    /// It stopped, and asks for an operator.
    NeedsAttention,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::Compensating,
        Self::Completed,
        Self::Compensated,
        Self::Failed,
        Self::NeedsAttention,
    ];

    /// As the table and the API have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Compensating => "compensating",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::Failed => "failed",
            Self::NeedsAttention => "needs_attention",
        }
    }

    /// The status of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether nothing follows it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Compensated | Self::Failed)
    }
}

/// Where a saga stands: the small part of it that each transition rewrites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Where it goes.
    pub course: Course,
    /// Steps that are being worked on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<OpenStep>,
    /// Steps whose effect happened or may have happened, in the order of completion; undone ones leave it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<u16>,
    /// The first step that was never opened.
    #[serde(default)]
    pub next: u16,
    /// Whether any undo has run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undid: bool,
    /// Steps whose undo gave up and was passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<u16>,
    /// Why an operator has to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<ErrorDetail>,
    /// The number of the last piece of mail that was taken in.
    #[serde(default)]
    pub mail_seen: i64,
}

/// Where a saga goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// To its end.
    Forward,
    /// To its end, unless the running attempt's outcome is known: then back, because of this.
    Stopping(ErrorDetail),
    /// Back, because of this.
    Undo(ErrorDetail),
    /// It is there.
    Completed,
    /// It is back.
    Compensated(ErrorDetail),
    /// It is back, and had nothing to undo.
    Failed(ErrorDetail),
}

/// A step that is being worked on, forward or back as the course says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenStep {
    /// Its place in the definition.
    pub step: u16,
    /// The current attempt's number, from 1.
    pub attempt: u32,
    /// Failed attempts that the policy counts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failures: u32,
    /// Whether the effect may have happened in an earlier attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
    /// When the first attempt began.
    pub since: UnixMillis,
    /// What it does.
    pub activity: Activity,
}

/// What an open step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// An attempt runs, or is about to.
    Run,
    /// The attempt goes on with what came.
    Resume(Arrival),
    /// The next attempt begins then.
    BackOff(UnixMillis),
    /// The attempt waits.
    Wait {
        /// For the first of these.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sources: Vec<WaitSource>,
        /// No longer than that.
        until: UnixMillis,
        /// Whether something was sent that nobody has answered yet.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sent: bool,
    },
    /// The undo gave up; an operator decides.
    Stuck,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl State {
    /// A saga that has just been accepted: its first step is about to run.
    pub fn initial(now: UnixMillis) -> Self {
        Self {
            course: Course::Forward,
            open: vec![OpenStep::first(0, now)],
            done: Vec::new(),
            next: 1,
            undid: false,
            leftovers: Vec::new(),
            attention: None,
            mail_seen: 0,
        }
    }

    /// What the saga's reader sees; `untouched`: no attempt has ended yet.
    pub fn status(&self, untouched: bool) -> Status {
        if self.attention.is_some() {
            return Status::NeedsAttention;
        }
        let waits = |open: &OpenStep| matches!(open.activity, Activity::Wait { .. });
        match self.course {
            Course::Completed => Status::Completed,
            Course::Compensated(_) => Status::Compensated,
            Course::Failed(_) => Status::Failed,
            Course::Undo(_) => Status::Compensating,
            Course::Forward | Course::Stopping(_) if untouched => Status::Pending,
            Course::Forward if !self.open.is_empty() && self.open.iter().all(waits) => {
                Status::Waiting
            }
            Course::Forward | Course::Stopping(_) => Status::Running,
        }
    }

    /// Whether open steps go forward or back.
    pub fn direction(&self) -> Direction {
        match self.course {
            Course::Forward | Course::Stopping(_) | Course::Completed => Direction::Forward,
            Course::Undo(_) | Course::Compensated(_) | Course::Failed(_) => Direction::Undo,
        }
    }

    /// Why it is, or was, being undone.
    pub fn cause(&self) -> Option<&ErrorDetail> {
        match &self.course {
            Course::Stopping(cause)
            | Course::Undo(cause)
            | Course::Compensated(cause)
            | Course::Failed(cause) => Some(cause),
            Course::Forward | Course::Completed => None,
        }
    }

    /// The earliest time at which an open step wants to go on by itself.
    pub fn due(&self) -> Option<UnixMillis> {
        if self.attention.is_some() {
            return None;
        }
        let due = |open: &OpenStep| match open.activity {
            Activity::BackOff(at) | Activity::Wait { until: at, .. } => Some(at),
            Activity::Run | Activity::Resume(_) | Activity::Stuck => None,
        };
        self.open.iter().filter_map(due).min()
    }

    /// The open steps a guest is to be called for.
    pub fn runnable(&self) -> impl Iterator<Item = &OpenStep> {
        let held = self.attention.is_some();
        self.open.iter().filter(move |open| {
            !held && matches!(open.activity, Activity::Run | Activity::Resume(_))
        })
    }
}

impl OpenStep {
    /// The first attempt of a step.
    pub fn first(step: u16, now: UnixMillis) -> Self {
        Self {
            step,
            attempt: 1,
            failures: 0,
            uncertain: false,
            since: now,
            activity: Activity::Run,
        }
    }
}
