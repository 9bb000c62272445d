//! What follows an event: a pure function from a saga's state to its next one, with what has to be committed
//! beside it. No I/O, no clock, no chance: they are passed in.
//!
//! A file a kind of event (`opened`, `claimed`, `due`, `mail`, `verbs`, `migrate`, `finished`), and a file a rule that several of them
//! follow: `forward` is how steps open and pass, `children` what becomes of the sagas it starts, `undo` how a saga turns back, `pivot` when it can't, `deadline` when
//! it has to. To add an event: a variant here, a file of its name, and a case in the tests' model.

mod children;
mod claimed;
mod deadline;
mod due;
mod finished;
mod forward;
mod mail;
mod migrate;
mod opened;
mod pivot;
mod undo;
mod verbs;

use wasaga_domain::{
    attempt::Direction,
    clock::UnixMillis,
    definition::{Definition, Step},
    ids::{Digest, SagaId},
    journal::{Entry, EntryKind},
    mail::Mail,
    outcome::{Effect, ErrorDetail, Failure, StepOutcome},
    state::{OpenStep, State},
};

pub use migrate::{Migrate, Moved, migrate};

/// What may happen to a saga.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It was started by SQL, and is taken up for the first time.
    Opened {
        /// Why its input is refused, if it is.
        refusal: Option<String>,
    },
    /// Its lease was taken; so many leases before it ended without a release.
    Claimed {
        /// Leases in a row that were lost with their host.
        interruptions: u16,
        /// Open steps whose guests may have changed something outside the host's transaction.
        reaching_out: Vec<u16>,
    },
    /// Something that it waits for is due.
    Due,
    /// Mail came, in the order of its numbers.
    Mail(Vec<Mail>),
    /// Mail came that moves it to another version of its definition. No guest is being called.
    Migrate(Migrate),
    /// An attempt ended.
    Finished(Finished),
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// The step's place in the definition.
    pub step: u16,
    /// How it ended.
    pub outcome: Result<StepOutcome, Failure>,
    /// The code that ran.
    pub digest: Option<Digest>,
    /// When the call began.
    pub started_at: UnixMillis,
    /// Whether SQL of the guest's own is committed with it.
    pub wrote: bool,
    /// Whether it may have changed something outside the host's transaction.
    pub reached_out: bool,
}

/// The world, as of the decision.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// The time.
    pub at: UnixMillis,
    /// In 0..1, for jitter.
    pub chance: f64,
    /// Steps a guest is being called for, or whose attempts' ends are still to be decided; without the one that this
    /// event ends.
    pub calling: &'a [u16],
}

/// What was decided. With entries it has to be committed before anything else follows from it; without any, it
/// may be: a crash before that only repeats the event.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The next state.
    pub state: State,
    /// For the journal, in order.
    pub entries: Vec<Entry>,
    /// For the outbox, in order, each with the step that returned it.
    pub effects: Vec<(u16, Effect)>,
    /// Sagas that turn back with this one.
    pub cancels: Vec<SagaId>,
    /// Steps that are tried past their policy's last attempt, since the saga can't turn back.
    pub insists: Vec<u16>,
    /// The definition that the next state is of, where it is another one.
    pub moved: Option<Moved>,
}

impl Decision {
    /// Whether there is nothing to call now: the saga parks, or ends.
    pub fn settles(&self) -> bool {
        self.state.runnable().next().is_none()
    }
}

/// An event that the state does not allow: a fault of this program, or of whoever wrote the state.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{event} is not possible while the saga is {state}")]
pub struct IllegalTransition {
    event: &'static str,
    state: String,
}

/// What follows `event`.
pub fn decide(
    definition: &Definition,
    state: &State,
    event: Event,
    now: Now<'_>,
) -> Result<Decision, IllegalTransition> {
    let mut turn = Turn::new(definition, state, now);
    match event {
        Event::Opened { refusal } => turn.opened(refusal),
        Event::Claimed { interruptions, reaching_out } => {
            turn.claimed(interruptions, &reaching_out);
        }
        Event::Due => turn.due(),
        Event::Mail(mail) => turn.mail(mail),
        Event::Migrate(request) => turn.migrate(request),
        Event::Finished(finished) => turn.finished(finished)?,
    }
    let Decision { state, moved, .. } = &mut turn.decision;
    let definition = moved.as_ref().map_or(definition, |moved| &moved.definition);
    state.pivoted = pivot::is_past_pivot(definition, state);
    Ok(turn.decision)
}

/// A decision in the making.
struct Turn<'a> {
    definition: &'a Definition,
    now: Now<'a>,
    decision: Decision,
}

impl<'a> Turn<'a> {
    fn new(definition: &'a Definition, state: &State, now: Now<'a>) -> Self {
        let decision = Decision {
            state: state.clone(),
            entries: Vec::new(),
            effects: Vec::new(),
            cancels: Vec::new(),
            insists: Vec::new(),
            moved: None,
        };
        Self { definition, now, decision }
    }

    fn state(&mut self) -> &mut State {
        &mut self.decision.state
    }

    fn step(&self, step: u16) -> &'a Step {
        &self.definition.steps[usize::from(step)]
    }

    fn open(&mut self, step: u16) -> Option<&mut OpenStep> {
        self.decision.state.open.iter_mut().find(|open| open.step == step)
    }

    /// Journals a change of the saga itself.
    fn note(&mut self, kind: EntryKind, error: Option<ErrorDetail>) {
        let entry = Entry::of_saga(kind, self.decision.state.direction(), self.now.at);
        self.decision.entries.push(Entry { error, ..entry });
    }

    /// Stops the saga until an operator has looked.
    fn needs_attention(&mut self, why: ErrorDetail) {
        self.decision.state.attention = Some(why.clone());
        self.note(EntryKind::NeedsAttention, Some(why));
    }
}

impl IllegalTransition {
    fn new(event: &'static str, state: &State) -> Self {
        let (course, open) = (&state.course, &state.open);
        Self { event, state: format!("{course:?} with {open:?}") }
    }
}

/// An entry about an attempt of an open step.
fn entry_of(kind: EntryKind, direction: Direction, open: &OpenStep, ended: &Attempted) -> Entry {
    Entry {
        kind,
        step: Some(open.step),
        direction,
        attempt: open.attempt,
        output: None,
        undo: None,
        memo: None,
        error: None,
        digest: ended.digest,
        by: None,
        started_at: ended.started_at,
        at: ended.at,
    }
}

/// When an attempt ran, and which code.
struct Attempted {
    digest: Option<Digest>,
    started_at: UnixMillis,
    at: UnixMillis,
}
