//! A saga that this host holds: its facts, its state, and what is under way for it.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use tokio::time::Instant;
use wasaga_domain::{
    attempt::{Attempt, Direction, idempotency_key},
    clock::UnixMillis,
    definition::{Definition, Step},
    ids::SagaId,
    ledger::Ledger,
    outcome::Effect,
    payload::Payload,
    ports::{CallContext, CallKind, GuestTransaction, StepCall},
    state::{Activity, OpenStep, State, Status},
};
use wasaga_store::commit::{Hook, JournalEntry, KeyedEffect, RegisteredWait, Transition};

use super::lifecycle;
use crate::decide::{Decision, Finished, Moved};
use wasaga_domain::outcome::WaitSource;

/// What never changes of a saga.
#[derive(Debug)]
pub struct Facts {
    /// Its id.
    pub id: SagaId,
    /// What it runs.
    pub definition: Arc<Definition>,
    /// What it runs for.
    pub business_key: Option<Arc<str>>,
    /// For its idempotency keys.
    pub nonce: u32,
    /// W3C trace context.
    pub traceparent: Option<Arc<str>>,
    /// Its input.
    pub input: Payload,
    /// Whether another saga waits for its end, or may.
    pub child: bool,
}

/// A saga under this host's lease.
pub struct Held {
    /// What never changes of it.
    pub facts: Facts,
    /// Sets this lease apart from another one of the same saga: reports of an old one are dropped.
    pub life: u64,
    /// When this host took it.
    pub since: Instant,
    /// When it is looked at again, held or not.
    pub wake: Option<UnixMillis>,
    /// The lease's epoch.
    pub epoch: i64,
    /// Journal entries so far.
    pub sequence: i32,
    /// The number of the last piece of mail that is known of.
    pub mail: i64,
    /// Where it stands.
    pub state: State,
    /// What its steps have left.
    pub ledger: Arc<Ledger>,
    /// Whether the database has timers or waits of it.
    pub registered: bool,
    /// Steps a guest is being called for.
    pub calling: HashSet<u16>,
    /// What waits for the database.
    pub busy: Busy,
    /// Whether it is to be moved to another version of its definition as soon as no guest is called.
    pub migrates: bool,
    /// Ends of attempts that came while it was busy.
    pub finished: VecDeque<(Finished, Option<Box<dyn GuestTransaction>>)>,
}

/// What a held saga waits for; one thing at a time.
#[derive(Debug, PartialEq)]
pub enum Busy {
    /// Nothing.
    No,
    /// Its transition is being committed.
    Committing,
    /// Its mail is being read.
    ReadingMail,
}

impl Held {
    fn step(&self, step: u16) -> &Step {
        &self.facts.definition.steps[usize::from(step)]
    }

    fn key(&self, step: u16, direction: Direction) -> String {
        let name = self.state.name_of(&self.facts.definition, step);
        idempotency_key(self.facts.id, self.facts.nonce, name, direction)
    }

    /// The call that an open step is about to make.
    pub fn call(&self, open: &OpenStep, now: UnixMillis) -> StepCall {
        let direction = self.state.direction();
        let step = self.step(open.step);
        let timeout = match (direction, &step.undo) {
            (Direction::Undo, Some(undo)) => undo.timeout,
            _ => step.timeout,
        };
        let undo = || self.ledger.undo(open.step).cloned();
        let kind = match (&open.activity, direction) {
            (Activity::Resume(arrival), _) => {
                let parked = self.ledger.parked(open.step, direction);
                CallKind::Resume {
                    memo: parked.and_then(|parked| parked.memo.clone()),
                    undo: parked.and_then(|parked| parked.undo.clone()).or_else(undo),
                    arrival: arrival.clone(),
                }
            }
            (_, Direction::Forward) => CallKind::Execute { guarded: step.guarded },
            (_, Direction::Undo) => CallKind::Compensate { undo: undo() },
        };
        StepCall {
            attempt: Attempt {
                saga_id: self.facts.id,
                saga: Arc::clone(&self.facts.definition.name),
                definition_version: self.facts.definition.version,
                business_key: self.facts.business_key.clone(),
                step: Arc::clone(&step.name),
                direction,
                number: open.attempt,
                idempotency_key: self.key(open.step, direction),
                forward_key: self.key(open.step, Direction::Forward),
                deadline: self.bound(now.after(timeout)),
                traceparent: self.facts.traceparent.clone(),
            },
            worker: step.worker.clone(),
            module: open.module.or_else(|| self.state.pins.get(&step.worker).copied()),
            input: self.facts.input.clone(),
            kind,
            context: CallContext {
                definition: Arc::clone(&self.facts.definition),
                ledger: Arc::clone(&self.ledger),
                cause: self.state.cause().cloned(),
            },
        }
    }

    /// No attempt of a saga that can turn back outlasts the saga's own deadline.
    fn bound(&self, deadline: UnixMillis) -> UnixMillis {
        let of_saga = self
            .state
            .deadline
            .filter(|_| self.state.direction() == Direction::Forward && !self.state.pivoted);
        of_saga.map_or(deadline, |of_saga| deadline.min(of_saga))
    }

    /// What has to be committed for a decision.
    pub fn transition(&self, decision: &Decision, now: UnixMillis, hears: bool) -> Transition {
        let name = |step: u16| self.state.name_of(&self.facts.definition, step).to_owned();
        // The effects are those of the state before: its direction, not that of the next one.
        let direction = self.state.direction();
        let entries = decision
            .entries
            .iter()
            .map(|entry| JournalEntry { step: entry.step.map(name), entry: entry.clone() });
        // All of them: those that were registered before are cleared with the timers.
        let waits = waits(&decision.state);
        let effects = decision.effects.iter().map(|(step, effect): &(u16, Effect)| KeyedEffect {
            effect: self.traced(effect.clone()),
            idempotency_key: self.key(*step, direction),
        });
        let topic = self.facts.definition.lifecycle_topic.as_deref();
        let told = if topic.is_some() || hears {
            lifecycle::told(&self.facts, self.sequence, decision)
        } else {
            Vec::new()
        };
        let published = topic
            .into_iter()
            .flat_map(|topic| told.iter().map(move |(_, told)| lifecycle::message(topic, told)));
        let hooks = told.iter().filter(|_| hears).map(|(number, told)| {
            let plugin = self.facts.definition.plugin.clone();
            Hook { plugin, number: *number, told: told.clone() }
        });
        // Only a migration leaves known mail for later.
        let has_mail = self.mail > decision.state.mail_seen;
        let settles = decision.settles() && !self.is_under_way() && !has_mail;
        let due = decision.state.due().filter(|_| settles).map(|due| due.since(now));
        Transition {
            saga: self.facts.id,
            epoch: self.epoch,
            sequence: self.sequence,
            status: self.status(decision),
            version: decision.moved.as_ref().map(|moved| moved.definition.version),
            state: serde_json::value::to_raw_value(&decision.state)
                .expect("a state has no key that is not text"),
            settles,
            seen: decision.state.mail_seen,
            due,
            clears: self.registered,
            entries: entries.collect(),
            waits,
            effects: effects.chain(published).collect(),
            hooks: hooks.collect(),
            cancels: decision.cancels.clone(),
        }
    }

    /// A saga that it starts goes on in its trace.
    fn traced(&self, mut effect: Effect) -> Effect {
        if let Effect::Start(start) = &mut effect {
            start.saga.traceparent = self.facts.traceparent.as_deref().map(str::to_owned);
        }
        effect
    }

    fn status(&self, decision: &Decision) -> Status {
        let untouched = self.sequence == 0 && decision.entries.is_empty();
        decision.state.status(untouched)
    }

    /// Steps a guest is being called for, or whose attempts' ends are still to be decided.
    pub fn under_way(&self) -> Vec<u16> {
        let ended = self.finished.iter().map(|(finished, _)| finished.step);
        self.calling.iter().copied().chain(ended).collect()
    }

    /// Whether it is held for nothing: an attempt's end was lost, and its guest is not to be called again.
    pub fn has_nothing_to_do(&self) -> bool {
        self.state.runnable().next().is_none() && !self.is_under_way()
    }

    /// Whether any attempt's end is still to come, or to be decided.
    pub fn is_under_way(&self) -> bool {
        !self.calling.is_empty() || !self.finished.is_empty()
    }

    /// Whether nothing further is called: it is to be moved when the calls under way have ended.
    pub fn awaits_calls(&self) -> bool {
        self.migrates && !self.calling.is_empty()
    }

    /// Whether a step waits for something from outside.
    pub fn waits(&self) -> bool {
        self.state.open.iter().any(|open| matches!(open.activity, Activity::Wait { .. }))
    }

    /// Takes up a decision that is committed.
    pub fn committed(&mut self, decision: Decision) {
        self.sequence += decision.entries.len() as i32;
        let timed = decision.settles() && decision.state.due().is_some();
        self.registered = timed || !waits(&decision.state).is_empty();
        if decision.entries.iter().any(|entry| entry.step.is_some()) {
            let ledger = Arc::make_mut(&mut self.ledger);
            decision.entries.iter().for_each(|entry| ledger.record(entry));
        }
        self.state = decision.state;
        if let Some(moved) = decision.moved {
            self.moved(moved);
        }
    }

    /// Steps are in other places now. No guest is being called; what has returned is still to be decided.
    fn moved(&mut self, Moved { definition, places }: Moved) {
        self.facts.definition = definition;
        self.ledger = Arc::new(self.ledger.moved(&places));
        for (finished, _) in &mut self.finished {
            // Whatever was called is open, and has a place.
            finished.step = places[usize::from(finished.step)].unwrap_or(finished.step);
        }
    }
}

/// The messages that the open steps wait for.
fn waits(state: &State) -> Vec<RegisteredWait> {
    let mut waits = Vec::new();
    for open in &state.open {
        let Activity::Wait { sources, .. } = &open.activity else { continue };
        for source in sources {
            if let WaitSource::Message { topic, correlation } = source {
                let (topic, correlation) = (topic.clone(), correlation.clone());
                waits.push(RegisteredWait { topic, correlation, step: open.step });
            }
        }
    }
    waits
}
