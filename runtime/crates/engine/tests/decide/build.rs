//! Definitions, outcomes and a saga that is led by hand: each decision is taken as committed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use wasaga_domain::{
    attempt::Direction,
    clock::UnixMillis,
    definition::{Definition, Pins, Step, Undo},
    journal::Entry,
    mail::{Audit, Mail, MailContent, Verb},
    manifest::OnUndoFailure,
    message::{Message, Outgoing},
    outcome::{Done, Effect, ErrorDetail, Failure, StepOutcome, Wait, WaitSource},
    payload::Payload,
    retry::RetryPolicy,
    state::{Activity, State},
};
use wasaga_engine::decide::{Decision, Event, Finished, Migrate, Now, decide};

pub type Outcome = Result<StepOutcome, Failure>;

pub const TOPIC: &str = "replies";
/// Of every wait that names no time-out of its own.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(1);

pub fn attempts(max: u32) -> RetryPolicy {
    RetryPolicy::Fixed { delay_ms: 0, max_attempts: Some(max) }
}

/// A step with two attempts, forward and back.
pub fn step(name: &str) -> Step {
    Step {
        name: name.into(),
        worker: "worker".parse().unwrap(),
        after: Vec::new(),
        pivot: false,
        guarded: false,
        timeout: STEP_TIMEOUT,
        retry: attempts(2),
        undo: Some(undo(OnUndoFailure::NeedsAttention)),
    }
}

pub fn undo(on_failure: OnUndoFailure) -> Undo {
    Undo { retry: attempts(2), timeout: STEP_TIMEOUT, on_failure }
}

/// Steps one after another.
pub fn steps(names: &str) -> Vec<Step> {
    let mut steps: Vec<_> = names.split(' ').map(step).collect();
    for (before, step) in (0..).zip(steps.iter_mut().skip(1)) {
        step.after = vec![before];
    }
    steps
}

/// Steps of a graph: `a b<a c<a d<b,c`.
pub fn graph(steps: &str) -> Vec<Step> {
    let parts: Vec<(&str, &str)> =
        steps.split(' ').map(|part| part.split_once('<').unwrap_or((part, ""))).collect();
    let place = |name: &str| parts.iter().position(|(step, _)| *step == name).unwrap() as u16;
    let after = |names: &str| names.split(',').filter(|name| !name.is_empty()).map(place).collect();
    parts.iter().map(|(name, before)| Step { after: after(before), ..step(name) }).collect()
}

pub fn audit() -> Audit {
    Audit { by: Some("an operator".into()), reason: "asked".into() }
}

pub fn verb(verb: Verb) -> MailContent {
    MailContent::Verb { verb, by: audit() }
}

pub fn why(code: &str) -> ErrorDetail {
    ErrorDetail::new(code, "for a test")
}

pub fn done() -> Outcome {
    Ok(StepOutcome::Done(Done { output: Payload::json("1"), undo: None, effects: Vec::new() }))
}

pub fn retryable() -> Outcome {
    Err(Failure::Retryable { detail: why("retryable"), after: None })
}

pub fn permanent() -> Outcome {
    Err(Failure::Permanent(why("permanent")))
}

pub fn unknown() -> Outcome {
    Err(Failure::Unknown(why("unknown")))
}

pub fn unavailable() -> Outcome {
    Err(Failure::Unavailable(why("unavailable")))
}

pub fn rejected() -> Outcome {
    Ok(StepOutcome::Rejected(why("rejected")))
}

pub fn source(correlation: &str) -> WaitSource {
    WaitSource::Message { topic: TOPIC.into(), correlation: correlation.into() }
}

pub fn command() -> Effect {
    let message = Message { topic: "commands".into(), key: None, headers: Vec::new(), value: None };
    Effect::Send(Outgoing { message, rollback: None })
}

pub fn reply_message() -> Message {
    Message { topic: TOPIC.into(), key: None, headers: Vec::new(), value: Some("yes".into()) }
}

/// A wait for one message; `sends`: it asks somebody for it.
pub fn wait(correlation: &str, sends: bool) -> Outcome {
    Ok(StepOutcome::Wait(Wait {
        sources: vec![source(correlation)],
        timeout: None,
        effects: sends.then(command).into_iter().collect(),
        undo: None,
        memo: None,
    }))
}

/// A saga led by hand.
pub struct Run {
    pub definition: Definition,
    pub state: State,
    pub now: UnixMillis,
    /// Entries, as `[undo ]kind[ step]`.
    pub journal: Vec<String>,
    pub entries: Vec<Entry>,
    pub last: Option<Decision>,
    /// Steps whose guests may change something outside the host's transaction.
    pub reaching_out: Vec<u16>,
    /// Whether the attempt that ends next has.
    pub reached_out: bool,
    mails: i64,
}

impl Run {
    pub fn of(steps: Vec<Step>) -> Self {
        Self::with_deadline(steps, None)
    }

    pub fn with_deadline(steps: Vec<Step>, deadline: Option<Duration>) -> Self {
        let definition = Definition {
            name: "test".into(),
            version: 1,
            steps,
            input_schema: None,
            plugin: "worker".parse().unwrap(),
            lifecycle_topic: None,
            deadline,
            pin_workers: false,
            pins: Pins::new(),
        };
        let now = UnixMillis(1_000_000);
        Self {
            state: State::initial(&definition, now),
            definition,
            now,
            journal: Vec::new(),
            entries: Vec::new(),
            last: None,
            reaching_out: Vec::new(),
            reached_out: false,
            mails: 0,
        }
    }

    /// Decides with no jitter taken off and no guest being called, and takes the decision as committed.
    pub fn happens(&mut self, event: Event) -> &mut Self {
        self.happens_during(event, &[])
    }

    fn happens_during(&mut self, event: Event, calling: &[u16]) -> &mut Self {
        let now = Now { at: self.now, chance: 0.0, calling };
        let decision = decide(&self.definition, &self.state, event, now).unwrap();
        self.state = decision.state.clone();
        for entry in &decision.entries {
            self.journal.push(self.line(entry));
        }
        self.entries.extend(decision.entries.clone());
        self.last = Some(decision);
        self
    }

    fn running(&self) -> Vec<u16> {
        self.state.open.iter().filter(|open| open.runs()).map(|open| open.step).collect()
    }

    fn line(&self, entry: &Entry) -> String {
        let undo =
            if entry.direction == Direction::Undo && entry.step.is_some() { "undo " } else { "" };
        let step =
            entry.step.map(|step| format!(" {}", self.definition.steps[usize::from(step)].name));
        format!("{undo}{}{}", entry.kind.as_str(), step.unwrap_or_default())
    }

    /// The running attempt ends.
    pub fn ends(&mut self, outcome: Outcome) -> &mut Self {
        self.ends_with(outcome, false)
    }

    /// The running attempt ends; `wrote`: with SQL of its own.
    pub fn ends_with(&mut self, outcome: Outcome, wrote: bool) -> &mut Self {
        let step = self.running()[0];
        self.step_ends_with(step, outcome, wrote)
    }

    /// The attempt of this step ends, while those of the others go on.
    pub fn step_ends(&mut self, name: &str, outcome: Outcome) -> &mut Self {
        let step = self.definition.position(name).expect("a step") as u16;
        self.step_ends_with(step, outcome, false)
    }

    fn step_ends_with(&mut self, step: u16, outcome: Outcome, wrote: bool) -> &mut Self {
        let others: Vec<_> = self.running().into_iter().filter(|other| *other != step).collect();
        let started_at = self.now;
        let reached_out = std::mem::take(&mut self.reached_out);
        let finished = Finished { step, outcome, digest: None, started_at, wrote, reached_out };
        self.happens_during(Event::Finished(finished), &others)
    }

    pub fn mail(&mut self, content: MailContent) -> &mut Self {
        self.mail_during(content, &[])
    }

    fn mail_during(&mut self, content: MailContent, calling: &[u16]) -> &mut Self {
        self.mails += 1;
        let mail = vec![Mail { number: self.mails, content }];
        self.happens_during(Event::Mail(mail), calling)
    }

    pub fn reply(&mut self, step: u16, correlation: &str) -> &mut Self {
        let (correlation, message) = (correlation.into(), reply_message());
        self.mail(MailContent::Reply { step, correlation, message })
    }

    pub fn signal(&mut self, name: &str) -> &mut Self {
        self.mail(MailContent::Signal { name: name.into(), payload: Payload::json("1") })
    }

    pub fn asks(&mut self, what: Verb) -> &mut Self {
        self.mail(verb(what))
    }

    /// An operator moves it; if that is done, it goes on under `to`.
    pub fn migrates(&mut self, to: Definition, map: &BTreeMap<String, String>) -> &mut Self {
        self.mails += 1;
        let (to, map) = (Ok(Arc::new(to)), map.clone());
        self.happens(Event::Migrate(Migrate { number: self.mails, to, map, by: audit() }));
        if let Some(moved) = self.last.as_ref().and_then(|last| last.moved.as_ref()) {
            self.definition = Definition::clone(&moved.definition);
        }
        self
    }

    pub fn cancel(&mut self) -> &mut Self {
        self.asks(Verb::Cancel)
    }

    pub fn cancel_during_call(&mut self) -> &mut Self {
        self.asks_during_calls(Verb::Cancel)
    }

    pub fn asks_during_calls(&mut self, what: Verb) -> &mut Self {
        let calling = self.running();
        self.mail_during(verb(what), &calling)
    }

    pub fn resume(&mut self) -> &mut Self {
        self.asks(Verb::Resume)
    }

    /// Time passes, and what is due goes on.
    pub fn later(&mut self, by: Duration) -> &mut Self {
        self.now = self.now.after(by);
        self.happens(Event::Due)
    }

    pub fn claimed(&mut self, interruptions: u16) -> &mut Self {
        let reaching_out = self.reaching_out.clone();
        self.happens(Event::Claimed { interruptions, reaching_out })
    }

    /// What runs, by commas: `[undo ]step attempt`, or `resume …`; `-`: nothing.
    pub fn runs(&self) -> String {
        let undo = if self.state.direction() == Direction::Undo { "undo " } else { "" };
        let name = |step: u16| &self.definition.steps[usize::from(step)].name;
        let runs = self.state.runnable().map(|open| {
            let resume = if matches!(open.activity, Activity::Resume(_)) { "resume " } else { "" };
            format!("{resume}{undo}{} {}", name(open.step), open.attempt)
        });
        let runs = runs.collect::<Vec<_>>().join(", ");
        if runs.is_empty() { "-".into() } else { runs }
    }

    pub fn status(&self) -> &'static str {
        self.state.status(false).as_str()
    }

    /// Lets every undo succeed, and tells which steps were undone, in order.
    pub fn undone(&mut self) -> String {
        while self.state.direction() == Direction::Undo && self.runs() != "-" {
            self.ends(done());
        }
        let undone = self.journal.iter().filter_map(|line| line.strip_prefix("undo succeeded "));
        undone.collect::<Vec<_>>().join(" ")
    }
}
