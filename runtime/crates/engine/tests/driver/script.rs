//! An executor that does what a test's script says, and keeps a list of what it was called for.

use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use wasaga_domain::{
    attempt::Direction,
    ids::Digest,
    message::{Message, Outgoing},
    outcome::{Done, Effect, ErrorDetail, Failure, StepOutcome, Wait, WaitSource},
    payload::Payload,
    ports::{
        CallKind, GuestDatabase, GuestTransaction, Report, StepCall, StepExecutor, StepReport,
    },
    sql::SqlValue,
};
use wasaga_store::Store;

pub const REPLIES: &str = "replies";

/// What a call comes to.
pub enum Answer {
    Now(Result<StepOutcome, Failure>),
    /// When the test says so.
    Later,
}

type Script = Box<dyn Fn(&StepCall) -> Answer + Send + Sync>;

pub struct Scripted {
    script: Script,
    calls: Mutex<Vec<(Instant, String)>>,
    later: Mutex<Vec<(StepCall, Report<StepReport>)>>,
    notes: Option<Store>,
    reaches_out: bool,
}

impl Scripted {
    pub fn new(script: impl Fn(&StepCall) -> Answer + Send + Sync + 'static) -> Self {
        let (calls, later) = (Mutex::default(), Mutex::default());
        Self { script: Box::new(script), calls, later, notes: None, reaches_out: false }
    }

    /// Each call that ends well notes itself in its plugin's own table: see [`line`].
    pub fn with_notes(self, store: &Store) -> Self {
        Self { notes: Some(store.clone()), ..self }
    }

    /// Each call changes something outside the host's transaction.
    pub fn reaching_out(self) -> Self {
        Self { reaches_out: true, ..self }
    }

    fn calls(&self) -> MutexGuard<'_, Vec<(Instant, String)>> {
        self.calls.lock().unwrap()
    }

    /// What was called so far, in order: see [`line`].
    pub fn called(&self) -> Vec<String> {
        self.calls().iter().map(|(_, line)| line.clone()).collect()
    }

    /// When each call began.
    pub fn instants(&self) -> Vec<Instant> {
        self.calls().iter().map(|(at, _)| *at).collect()
    }

    /// How many calls wait for the test.
    pub fn running(&self) -> usize {
        self.later.lock().unwrap().len()
    }

    /// Ends the calls that wait for the test.
    pub fn end(&self, outcome: impl Fn(&StepCall) -> Result<StepOutcome, Failure>) {
        let later = std::mem::take(&mut *self.later.lock().unwrap());
        for (call, report) in later {
            let outcome = outcome(&call);
            self.report(call, outcome, report);
        }
    }

    fn report(
        &self,
        call: StepCall,
        outcome: Result<StepOutcome, Failure>,
        report: Report<StepReport>,
    ) {
        let reached_out = self.reaches_out;
        match self.notes.clone().filter(|_| outcome.is_ok()) {
            None => report(reported(outcome, None, reached_out)),
            Some(store) => {
                tokio::spawn(async move {
                    let transaction = note(&store, &call).await;
                    report(reported(outcome, Some(transaction), reached_out));
                });
            }
        }
    }
}

impl StepExecutor for Scripted {
    fn run(&self, call: StepCall, report: Report<StepReport>) {
        self.calls().push((Instant::now(), line(&call)));
        match (self.script)(&call) {
            Answer::Now(outcome) => self.report(call, outcome, report),
            Answer::Later => self.later.lock().unwrap().push((call, report)),
        }
    }
}

fn reported(
    outcome: Result<StepOutcome, Failure>,
    transaction: Option<Box<dyn GuestTransaction>>,
    reached_out: bool,
) -> StepReport {
    let digest = Some(Digest([7; 32]));
    StepReport { outcome, digest, transaction, reached_out, took: Duration::ZERO }
}

async fn note(store: &Store, call: &StepCall) -> Box<dyn GuestTransaction> {
    let mut transaction = store.begin(&call.worker, call.attempt.deadline).await.unwrap();
    let note = SqlValue::Text(line(call));
    transaction.execute("insert into notes (note) values ($1)", &[note]).await.unwrap();
    transaction
}

/// A call as `[resume ][undo ]step attempt`.
pub fn line(call: &StepCall) -> String {
    let resume = if matches!(call.kind, CallKind::Resume { .. }) { "resume " } else { "" };
    let undo = if call.attempt.direction == Direction::Undo { "undo " } else { "" };
    format!("{resume}{undo}{} {}", call.attempt.step, call.attempt.number)
}

pub fn why(code: &str) -> ErrorDetail {
    ErrorDetail::new(code, "for a test")
}

pub fn done() -> Result<StepOutcome, Failure> {
    Ok(StepOutcome::Done(Done {
        output: Payload::json("{}"),
        undo: Some(Payload::json("\"undo\"")),
        effects: Vec::new(),
    }))
}

pub fn retryable() -> Result<StepOutcome, Failure> {
    Err(Failure::Retryable { detail: why("busy"), after: None })
}

pub fn permanent() -> Result<StepOutcome, Failure> {
    Err(Failure::Permanent(why("declined")))
}

/// A command, and a wait for its answer under `correlation`.
pub fn ask(correlation: &str) -> Result<StepOutcome, Failure> {
    let message = Message {
        topic: "commands".into(),
        key: None,
        headers: Vec::new(),
        value: Some("do".into()),
    };
    Ok(StepOutcome::Wait(Wait {
        sources: vec![WaitSource::Message {
            topic: REPLIES.into(),
            correlation: correlation.into(),
        }],
        timeout: None,
        effects: vec![Effect::Send(Outgoing { message, rollback: None })],
        undo: Some(Payload::json("\"asked\"")),
        memo: Some(Payload::json("\"memo\"")),
    }))
}

/// Calls that wait for one answer each, under the business key and the step's name.
pub fn asks(call: &StepCall) -> Result<StepOutcome, Failure> {
    match call.kind {
        CallKind::Resume { .. } => done(),
        _ => ask(&correlation(call)),
    }
}

pub fn correlation(call: &StepCall) -> String {
    let undo = if call.attempt.direction == Direction::Undo { "/undo" } else { "" };
    format!(
        "{}/{}{undo}",
        call.attempt.business_key.as_deref().unwrap_or_default(),
        call.attempt.step
    )
}
