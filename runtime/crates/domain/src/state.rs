//! Where a saga stands. `decide` in the engine is the only place that changes it.

use serde::{Deserialize, Serialize};

use crate::{
    attempt::Direction,
    clock::UnixMillis,
    definition::{Definition, Pins},
    ids::{Digest, SagaId},
    outcome::{Arrival, ChildEnd, ErrorDetail, WaitSource},
    payload::Payload,
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
    /// Steps whose effect happened or may have happened, in the order of completion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<u16>,
    /// Places in `done` whose step others overtook, each with how many were done when the first of them was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overtaken: Vec<(u16, u16)>,
    /// Steps that were passed and had no effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<u16>,
    /// Steps of `done` that need no undo any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undone: Vec<u16>,
    /// Whether any undo has run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undid: bool,
    /// Steps whose undo gave up and was passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<u16>,
    /// Steps that began under another name, in an earlier version of the definition: it stays theirs in the journal
    /// and in idempotency keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub began_as: Vec<(u16, String)>,
    /// Why an operator has to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<ErrorDetail>,
    /// An operator stopped it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// It only goes forward: a pivot has passed, or may have.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pivoted: bool,
    /// When it turns back, if it has not ended nor passed its pivot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<UnixMillis>,
    /// Signals that nobody waited for, in the order in which they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<Signal>,
    /// Sagas that it started as its children.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Child>,
    /// The modules that its steps call, whatever is active; those of other workers are not pinned.
    #[serde(default, skip_serializing_if = "Pins::is_empty")]
    pub pins: Pins,
    /// The number of the last piece of mail that was taken in.
    #[serde(default)]
    pub mail_seen: i64,
}

/// A saga that another one started, and that is cancelled with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Child {
    /// Its name among its parent's children.
    pub name: String,
    /// The saga.
    pub saga: SagaId,
    /// How it ended, as long as nobody waited for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<ChildEnd>,
}

/// A signal that came before its wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Its name.
    pub name: String,
    /// What it carries.
    pub payload: Payload,
}

/// Where a saga goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// Nowhere yet: it was accepted by SQL, which knows nothing of its definition's steps.
    Unopened,
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
    /// Places that it had since it began to wait, before the saga was moved to other versions of its definition: mail may
    /// still name it so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub was: Vec<u16>,
    /// Whether the effect may have happened in an earlier attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
    /// How many steps were done when the first was that overtook it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overtaken: Option<u16>,
    /// The module that an operator chose for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<Digest>,
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
    /// Nobody could be called: the attempt is put off.
    PutOff {
        /// Until then.
        until: UnixMillis,
        /// What it goes on with, where it is a wait's end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arrival: Option<Arrival>,
    },
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
    /// It gave up, and there is no way back; an operator decides.
    Stuck,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl State {
    /// A saga that has just been accepted: the steps that wait for no other are about to run.
    pub fn initial(definition: &Definition, now: UnixMillis) -> Self {
        let deadline = definition.deadline.map(|deadline| now.after(deadline));
        let pins = definition.pins.clone();
        let mut state = Self { deadline, pins, ..Self::on(Course::Forward) };
        state.open_next(definition, now);
        state
    }

    /// What is shown of a saga whose state can't be read, and why that is.
    pub fn unreadable(why: impl Into<String>) -> Self {
        let attention = Some(ErrorDetail::new("unreadable", why));
        Self { attention, ..Self::on(Course::Unopened) }
    }

    fn on(course: Course) -> Self {
        Self {
            course,
            open: Vec::new(),
            done: Vec::new(),
            overtaken: Vec::new(),
            skipped: Vec::new(),
            undone: Vec::new(),
            undid: false,
            leftovers: Vec::new(),
            began_as: Vec::new(),
            attention: None,
            paused: false,
            pivoted: false,
            deadline: None,
            signals: Vec::new(),
            children: Vec::new(),
            pins: Pins::new(),
            mail_seen: 0,
        }
    }

    /// Opens the steps whose predecessors have all passed.
    pub fn open_next(&mut self, definition: &Definition, now: UnixMillis) {
        let mut passed = vec![false; definition.steps.len()];
        for &step in self.done.iter().chain(&self.skipped) {
            passed[usize::from(step)] = true;
        }
        for (place, step) in definition.steps.iter().enumerate() {
            let opened =
                passed[place] || self.open.iter().any(|open| usize::from(open.step) == place);
            if !opened && step.after.iter().all(|&before| passed[usize::from(before)]) {
                self.open.push(OpenStep::first(place as u16, now));
            }
        }
    }

    /// The name under which a step began, if it is not the definition's.
    pub fn first_name(&self, step: u16) -> Option<&str> {
        let began = self.began_as.iter().find(|(place, _)| *place == step);
        began.map(|(_, name)| name.as_str())
    }

    /// A step's name in the journal and in idempotency keys.
    pub fn name_of<'a>(&'a self, definition: &'a Definition, step: u16) -> &'a str {
        self.first_name(step).unwrap_or(&definition.steps[usize::from(step)].name)
    }

    /// The place of the step of this name in the journal.
    pub fn place_of(&self, definition: &Definition, name: &str) -> Option<u16> {
        (0..definition.steps.len() as u16).find(|&step| self.name_of(definition, step) == name)
    }

    /// How many steps were done when the one at this place of `done` began to run beside them.
    pub fn began_after(&self, place: u16) -> u16 {
        let overtaken = self.overtaken.iter().find(|(overtaken, _)| *overtaken == place);
        overtaken.map_or(place, |(_, began)| *began)
    }

    /// What the saga's reader sees; `untouched`: no attempt has ended yet.
    pub fn status(&self, untouched: bool) -> Status {
        if self.attention.is_some() {
            return Status::NeedsAttention;
        }
        let waits = |open: &OpenStep| matches!(open.activity, Activity::Wait { .. });
        if self.paused && !self.is_over() {
            return Status::Paused;
        }
        match self.course {
            Course::Completed => Status::Completed,
            Course::Compensated(_) => Status::Compensated,
            Course::Failed(_) => Status::Failed,
            Course::Undo(_) => Status::Compensating,
            Course::Unopened => Status::Pending,
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
            Course::Unopened | Course::Forward | Course::Stopping(_) | Course::Completed => {
                Direction::Forward
            }
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
            Course::Unopened | Course::Forward | Course::Completed => None,
        }
    }

    /// Whether nothing follows.
    pub fn is_over(&self) -> bool {
        matches!(self.course, Course::Completed | Course::Compensated(_) | Course::Failed(_))
    }

    /// Whether an operator has to say how it goes on.
    pub fn is_held(&self) -> bool {
        self.paused || self.attention.is_some()
    }

    /// The earliest time at which the saga wants to go on by itself.
    pub fn due(&self) -> Option<UnixMillis> {
        if self.is_held() {
            return None;
        }
        let due = |open: &OpenStep| match open.activity {
            Activity::BackOff(at)
            | Activity::PutOff { until: at, .. }
            | Activity::Wait { until: at, .. } => Some(at),
            Activity::Run | Activity::Resume(_) | Activity::Stuck => None,
        };
        let deadline = self.deadline.filter(|_| self.course == Course::Forward && !self.pivoted);
        self.open.iter().filter_map(due).chain(deadline).min()
    }

    /// The open steps a guest is to be called for, or is being called for.
    pub fn runnable(&self) -> impl Iterator<Item = &OpenStep> {
        let held = self.is_held() || matches!(self.course, Course::Stopping(_));
        self.open.iter().filter(move |open| !held && open.runs())
    }
}

impl OpenStep {
    /// The first attempt of a step.
    pub fn first(step: u16, now: UnixMillis) -> Self {
        Self {
            step,
            attempt: 1,
            failures: 0,
            was: Vec::new(),
            uncertain: false,
            overtaken: None,
            module: None,
            since: now,
            activity: Activity::Run,
        }
    }

    /// Runs again what was put off until `now` or before.
    pub fn put_off_no_longer(&mut self, now: UnixMillis) {
        if let Activity::PutOff { until, arrival } = &mut self.activity
            && *until <= now
        {
            self.activity = arrival.take().map_or(Activity::Run, Activity::Resume);
        }
    }

    /// Whether a guest is to be called for it, or is being called.
    pub fn runs(&self) -> bool {
        matches!(self.activity, Activity::Run | Activity::Resume(_))
    }

    /// Whether its attempt waits, or has not said yet what it makes of its wait's end.
    pub fn is_unsettled(&self) -> bool {
        matches!(
            self.activity,
            Activity::Wait { .. } | Activity::Resume(_) | Activity::PutOff { arrival: Some(_), .. }
        )
    }
}
