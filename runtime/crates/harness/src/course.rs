//! A saga's course in memory: the engine decides, guests are called, and what would be committed is kept here. What disturbs
//! it, a [`Disturbance`] says call by call.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde_json::{Map, Value};
use uuid::Uuid;
use wasaga_domain::{
    attempt::Direction,
    clock::Clock as _,
    definition::Definition,
    ids::SagaId,
    journal::{Entry, EntryKind},
    mail::{Mail, MailContent},
    message::{Header, Message},
    outcome::{Arrival, ChildEnd, Done, Effect, ErrorDetail, Failure, StepOutcome, WaitSource},
    payload::Payload,
    ports::{GuestTransaction, StepCall, StepReport},
    start::NewSaga,
    state::{Activity, OpenStep, Status},
};
use wasaga_engine::{
    decide::{Event, Finished, Now, decide},
    driver::{claims, held::Held},
};
use wasaga_store::saga_claim::Claimed;

use crate::{content, scenario::Came, stage::Stage};

/// More turns than any saga takes that gets somewhere.
const TURNS: usize = 10_000;

/// What happens to one call.
#[derive(Clone, Debug)]
pub(crate) enum Disturbance {
    /// Nothing.
    None,
    /// It fails so, and the guest is not called.
    Fails(Failure),
    /// It runs, and what it did is lost with its host; so it runs again.
    LostBeforeCommit,
    /// The host is lost right after its commit.
    LostAfterCommit,
}

/// A call that was made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Called {
    pub step: String,
    pub direction: Direction,
    /// Whether the saga could not turn back any more.
    pub pivoted: bool,
    /// What each of its runs returned, where it ran more than once.
    pub returned: Vec<Value>,
}

pub(crate) struct Course<'a> {
    stage: &'a Stage,
    pub held: Held,
    outputs: &'a BTreeMap<String, Value>,
    pub arrivals: VecDeque<Came>,
    pub history: Vec<String>,
    pub outbox: Vec<Effect>,
    pub calls: Vec<Called>,
    began: bool,
}

/// A saga of this definition, about to run.
pub(crate) fn held(
    stage: &Stage,
    definition: &Arc<Definition>,
    business_key: Option<String>,
    input: Payload,
) -> Held {
    // The same in every run, so that what is derived from it is, too.
    let fresh = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0001);
    let saga = NewSaga::of(definition, business_key, input, fresh, stage.clock().now());
    let claimed = Claimed {
        id: saga.id,
        definition: saga.definition,
        version: saga.version,
        business_key: saga.business_key,
        nonce: saga.nonce,
        traceparent: None,
        input: saga.input,
        child: false,
        epoch: 1,
        sequence: 0,
        interruptions: 0,
        mail: 0,
        state: saga.state,
    };
    claims::held(claimed, definition.clone(), Vec::new())
}

impl<'a> Course<'a> {
    /// `outputs`: what steps of plugins return that are not loaded.
    pub(crate) fn new(stage: &'a Stage, held: Held, outputs: &'a BTreeMap<String, Value>) -> Self {
        let (arrivals, history, outbox, calls) = Default::default();
        Self { stage, held, outputs, arrivals, history, outbox, calls, began: false }
    }

    pub(crate) fn status(&self) -> Status {
        self.held.state.status(!self.began)
    }

    pub(crate) fn id(&self) -> SagaId {
        self.held.facts.id
    }

    /// What the steps have left, by their names.
    pub(crate) fn left(&self) -> BTreeMap<String, Value> {
        let definition = &self.held.facts.definition;
        let left = definition.steps.iter().enumerate().filter_map(|(place, step)| {
            let output = self.held.ledger.output(place as u16)?;
            Some((step.name.to_string(), content::shown(&output.data)))
        });
        left.collect()
    }

    /// Runs until the saga ends, asks for an operator, or waits for what nobody sends. `disturb` is asked for each call, with
    /// its number from 0.
    pub(crate) async fn run(
        &mut self,
        mut disturb: impl FnMut(usize, &StepCall) -> Disturbance,
    ) -> Result<(), String> {
        for _ in 0..TURNS {
            if self.held.state.is_over() || self.held.state.is_held() {
                return Ok(());
            }
            let next = self.held.state.runnable().next().cloned();
            if let Some(open) = next {
                self.call(&open, &mut disturb).await?;
            } else if let Some(mail) = self.arrival() {
                self.held.mail = mail.number;
                self.apply(Event::Mail(vec![mail]), None).await?;
            } else if let Some(due) = self.held.state.due() {
                self.stage.clock().set(due.max(self.stage.clock().now()));
                self.apply(Event::Due, None).await?;
            } else {
                return Ok(());
            }
        }
        Err(format!("the saga gets nowhere: {TURNS} turns, the last ones {:?}", self.last()))
    }

    fn last(&self) -> &[String] {
        &self.history[self.history.len().saturating_sub(3)..]
    }

    async fn call(
        &mut self,
        open: &OpenStep,
        disturb: &mut impl FnMut(usize, &StepCall) -> Disturbance,
    ) -> Result<(), String> {
        let call = self.held.call(open, self.stage.clock().now());
        let disturbance = disturb(self.calls.len(), &call);
        let mut called = Called {
            step: call.attempt.step.to_string(),
            direction: call.attempt.direction,
            pivoted: self.held.state.pivoted,
            returned: Vec::new(),
        };
        let report = match &disturbance {
            Disturbance::Fails(failure) => Err(failure.clone()),
            _ => Ok(self.report(call).await),
        };
        if matches!(disturbance, Disturbance::LostBeforeCommit) {
            // Its transaction goes with it.
            called.returned.extend(report.into_iter().map(|report| returned(&report.outcome)));
            self.apply(self.lost(), None).await?;
            let again = self.held.state.runnable().find(|again| again.step == open.step).cloned();
            if let Some(again) = again {
                let call = self.held.call(&again, self.stage.clock().now());
                let report = self.report(call).await;
                called.returned.push(returned(&report.outcome));
                self.calls.push(called);
                return self.finished(open.step, report).await;
            }
            self.calls.push(called);
            return Ok(());
        }
        self.calls.push(called);
        match report {
            Ok(report) => self.finished(open.step, report).await?,
            Err(failure) => {
                let none = |failure| StepReport {
                    outcome: Err(failure),
                    digest: None,
                    transaction: None,
                    reached_out: false,
                    took: std::time::Duration::ZERO,
                };
                self.finished(open.step, none(failure)).await?;
            }
        }
        if matches!(disturbance, Disturbance::LostAfterCommit) && !self.held.state.is_over() {
            self.apply(self.lost(), None).await?;
        }
        Ok(())
    }

    /// Calls the guest; a step of a plugin that is not loaded returns what it was given to return.
    async fn report(&self, call: StepCall) -> StepReport {
        if self.stage.has(&call.worker) {
            return self.stage.step(call).await;
        }
        let output = self.outputs.get(&*call.attempt.step).cloned();
        let output = content::payload(&output.unwrap_or_else(|| Value::Object(Map::default())));
        let done = Done { output, undo: None, effects: Vec::new() };
        StepReport {
            outcome: Ok(StepOutcome::Done(done)),
            digest: None,
            transaction: None,
            reached_out: false,
            took: std::time::Duration::ZERO,
        }
    }

    /// The host is lost.
    fn lost(&self) -> Event {
        let steps = self.held.facts.definition.steps.iter().enumerate();
        let reaching_out = steps.filter(|(_, step)| self.stage.reaches_out(&step.worker));
        let reaching_out = reaching_out.map(|(place, _)| place as u16).collect();
        Event::Claimed { interruptions: 1, reaching_out }
    }

    async fn finished(&mut self, step: u16, report: StepReport) -> Result<(), String> {
        let StepReport { outcome, digest, transaction, reached_out, took: _ } = report;
        let (started_at, wrote) = (self.stage.clock().now(), transaction.is_some());
        let finished = Finished { step, outcome, digest, started_at, wrote, reached_out };
        self.apply(Event::Finished(finished), transaction).await
    }

    async fn apply(
        &mut self,
        event: Event,
        transaction: Option<Box<dyn GuestTransaction>>,
    ) -> Result<(), String> {
        let now = Now { at: self.stage.clock().now(), chance: 0.5, calling: &[] };
        let decision = decide(&self.held.facts.definition, &self.held.state, event, now)
            .map_err(|illegal| illegal.to_string())?;
        self.stage.commit(transaction).await?;
        for entry in &decision.entries {
            self.began = true;
            self.history.extend(self.told(entry));
        }
        self.outbox.extend(decision.effects.iter().map(|(_, effect)| effect.clone()));
        self.held.committed(decision);
        Ok(())
    }

    /// As a scenario's history has it; the ends of the whole saga are its status.
    fn told(&self, entry: &Entry) -> Option<String> {
        let step = self.held.facts.definition.steps.get(usize::from(entry.step?))?;
        let undo = if entry.direction == Direction::Undo { "undo " } else { "" };
        let kind = match entry.kind {
            EntryKind::LateMessage | EntryKind::Interrupted => return None,
            kind => kind.as_str(),
        };
        Some(format!("{undo}{} {kind}", step.name))
    }

    /// The first arrival that an open step waits for.
    fn arrival(&mut self) -> Option<Mail> {
        let waits = self.held.state.open.iter().filter_map(|open| match &open.activity {
            Activity::Wait { sources, .. } => Some((open.step, sources)),
            _ => None,
        });
        let waits: Vec<(u16, WaitSource)> = waits
            .flat_map(|(step, sources)| sources.iter().map(move |source| (step, source.clone())))
            .collect();
        let fits = |came: &Came| {
            let fit = waits.iter().find(|(_, source)| meets(came, source))?;
            Some(fit.0)
        };
        let place = self.arrivals.iter().position(|came| fits(came).is_some())?;
        let came = self.arrivals.remove(place)?;
        let step = fits(&came)?;
        let number = self.held.mail + 1;
        let child = |name: &str| {
            let children = &self.held.state.children;
            children.iter().find(|child| child.name == name).map(|child| child.saga)
        };
        let content = match arrival(&came, child) {
            Ok(Arrival::Message { correlation, message }) => {
                MailContent::Reply { step, correlation, message }
            }
            Ok(Arrival::Signal { name, payload }) => MailContent::Signal { name, payload },
            Ok(Arrival::Child { end, .. }) => MailContent::Child(*end),
            Ok(Arrival::TimedOut) | Err(_) => return None,
        };
        Some(Mail { number, content })
    }
}

/// Whether this is what the source waits for.
fn meets(came: &Came, source: &WaitSource) -> bool {
    match (came, source) {
        (
            Came::Message { topic, correlation, .. },
            WaitSource::Message { topic: awaited, correlation: key },
        ) => topic == awaited && correlation == key,
        (Came::Signal { name, .. }, WaitSource::Signal(awaited))
        | (Came::Child { name, .. }, WaitSource::Child(awaited)) => name == awaited,
        _ => false,
    }
}

/// What came, as a guest is told it; `child` knows the ids of the saga's children.
pub(crate) fn arrival(
    came: &Came,
    child: impl Fn(&str) -> Option<SagaId>,
) -> Result<Arrival, String> {
    Ok(match came {
        Came::Message { topic, correlation, value, headers } => {
            let header = |(name, value): (&String, &String)| Header {
                name: name.clone(),
                value: value.clone().into(),
            };
            let message = Message {
                topic: topic.clone(),
                key: Some(correlation.clone().into()),
                headers: headers.iter().map(header).collect(),
                value: value.as_ref().map(|value| content::bytes(value).into()),
            };
            Arrival::Message { correlation: correlation.clone(), message }
        }
        Came::Signal { name, payload } => {
            Arrival::Signal { name: name.clone(), payload: content::payload(payload) }
        }
        Came::Child { name, status, output } => {
            let status = match status.as_str() {
                "completed" => Status::Completed,
                "compensated" => Status::Compensated,
                "failed" => Status::Failed,
                other => {
                    return Err(format!(
                        "a child ends completed, compensated or failed, and not {other}"
                    ));
                }
            };
            let error = (status != Status::Completed)
                .then(|| ErrorDetail::new("child", "ended so by the scenario"));
            let end = ChildEnd {
                saga: child(name).unwrap_or(SagaId(Uuid::nil())),
                status,
                output: output.as_ref().map(content::payload),
                error,
            };
            Arrival::Child { name: name.clone(), end: Box::new(end) }
        }
        Came::TimedOut {} => Arrival::TimedOut,
    })
}

/// What a call returned, to compare two runs by.
fn returned(outcome: &Result<StepOutcome, Failure>) -> Value {
    crate::expect::observed(outcome).shown()
}
