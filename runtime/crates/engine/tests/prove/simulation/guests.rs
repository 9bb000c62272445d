//! Guests: called at once, and returning in any order with whatever they may answer.

use std::time::Duration;

use uuid::Uuid;
use wasaga_domain::{
    attempt::Direction,
    outcome::{Effect, SagaStart, StepOutcome, Wait, WaitSource},
    payload::Payload,
    ports::StepCall,
    start::NewSaga,
    state::Course,
};
use wasaga_engine::decide::Finished;

use super::{Simulation, calls::called};
use crate::{
    memory::topic,
    model::Called,
    outcomes::{
        Outcome, command, done, name, payload, permanent, rejected, retryable, unavailable, unknown,
    },
    store::Store,
};

const CHILDREN: [&str; 2] = ["helper", "other"];

/// What steps wait for beside messages.
pub const SIGNALS: [&str; 2] = ["go", "stop"];

impl<S: Store> Simulation<S> {
    /// Time passes while guests are being called; one returns, or none does any more.
    pub(super) async fn guests(&mut self) {
        let host = self.host();
        assert!(!host.calls.is_empty(), "the saga is held for nothing: {:?}", host.held.state);
        // A step that killed its host is likely to do it again.
        let odds = if self.store.memory().interruptions() > 0 { 3 } else { 24 };
        if self.choices.rarely(odds) {
            self.saw("guests", "are lost with their host");
            return self.crash().await;
        }
        if self.choices.rarely(24) {
            self.saw("host", "stops during a call");
            return self.release().await;
        }
        let due = self.host().held.state.due();
        match due.filter(|_| self.choices.rarely(6)) {
            Some(due) => self.pass_until(due).await,
            None => self.guest_returns().await,
        }
    }

    /// The host's lease ends: others may take the saga.
    pub(super) async fn crash(&mut self) {
        let host = self.host.take().expect("a host holds it");
        self.store.host_dies(host.id).await;
        self.expected.dies();
        self.zombie = Some(host);
        self.process = None;
    }

    pub(super) async fn release(&mut self) {
        let host = self.host.take().expect("a host holds it");
        self.store.release(host.id, host.held.epoch).await;
        self.expected.released();
        self.zombie = Some(host);
    }

    pub(super) async fn guest_returns(&mut self) {
        let began = self.now;
        let took = if self.choices.rarely(8) { 30 } else { 1 };
        self.pass(Duration::from_millis(took)).await;
        let calls = self.host().calls.len();
        let place = self.choices.of(calls);
        if place > 0 {
            self.saw("guests", "return in another order");
        }
        let host = self.host();
        let step = *host.calls.keys().nth(place).expect("one of those that are called");
        let call = host.calls.remove(&step).expect("it is being called");
        host.held.calling.remove(&step);
        let (outcome, wrote) = self.answer(step, &call);
        let (digest, reached_out) = (None, false);
        let finished = Finished { step, outcome, digest, started_at: began, wrote, reached_out };
        self.host().held.finished.push_back((finished, None));
    }

    /// What the guest answers, and whether with SQL of its own.
    fn answer(&mut self, step: u16, call: &StepCall) -> (Outcome, bool) {
        let called = called(call);
        let (fresh, answered) = (called == Called::Fresh, called == Called::Message);
        let undo = call.attempt.direction == Direction::Undo;
        let stopping = matches!(self.host().held.state.course, Course::Stopping(_));
        let guarded = fresh && !undo && self.definition.steps[usize::from(step)].guarded;
        let outcome = match self.choices.of(25) {
            // What was asked for was declined.
            5..=11 if answered => permanent(),
            5..=9 => self.wait(step, undo, true),
            10 | 11 => self.wait(step, undo, false),
            12 => retryable(None),
            13 => retryable(Some(Duration::from_millis(15))),
            14 | 15 => unknown(),
            16..=18 => permanent(),
            19 => unavailable(),
            20 if guarded => Ok(StepOutcome::Skipped),
            21 if guarded => rejected(),
            22 => {
                let effects = self.child().into_iter().collect();
                self.done(effects)
            }
            23 => {
                let (name, payload) = (self.choices.one(&SIGNALS).into(), self.payload());
                self.done(vec![Effect::Signal { saga: self.saga.id, name, payload }])
            }
            24 => self.done(vec![command()]),
            _ => self.done(Vec::new()),
        };
        let what = name(&outcome);
        self.count(if undo { "undo" } else { "forward" }, what);
        if stopping {
            self.count("stopping", what);
        }
        // Only a good end is committed with the guest's own SQL.
        let wrote = outcome.is_ok() && self.choices.rarely(6);
        (outcome, wrote)
    }

    fn payload(&mut self) -> Payload {
        self.payloads += 1;
        payload(self.payloads)
    }

    fn some_payload(&mut self) -> Option<Payload> {
        let some = !self.choices.rarely(4);
        some.then(|| self.payload())
    }

    fn done(&mut self, effects: Vec<Effect>) -> Outcome {
        done(self.payload(), self.some_payload(), effects)
    }

    /// A saga of one of two names, and rarely not that of before.
    fn child(&mut self) -> Option<Effect> {
        let name = self.choices.of(6).checked_sub(4)?;
        let other = if self.choices.rarely(4) { 10 } else { 0 };
        let id = Uuid::from_u128(self.saga.id.0.as_u128() ^ (1 + name as u128 + other));
        let saga = NewSaga::of(&self.definition, None, Payload::json("1"), id, self.now);
        Some(Effect::Start(Box::new(SagaStart { saga, child: Some(CHILDREN[name].into()) })))
    }

    /// The child that is started here, or was before, or rarely any.
    fn awaited(&mut self, started: Option<&Effect>) -> String {
        let any = self.choices.rarely(6).then(|| self.choices.one(&CHILDREN).to_owned());
        let known = self.host().held.state.children.last().map(|child| child.name.clone());
        let started = match started {
            Some(Effect::Start(start)) => start.child.clone(),
            _ => None,
        };
        any.or(started).or(known).unwrap_or_else(|| CHILDREN[0].to_owned())
    }

    /// For a message, one of two, a signal, either, a child, or nothing but time.
    fn wait(&mut self, step: u16, undo: bool, sends: bool) -> Outcome {
        let topic = topic(self.saga.id);
        let message = |correlation| WaitSource::Message { topic: topic.clone(), correlation };
        let own = message(correlation(step, undo));
        let other = message(other(step));
        let signal = |place: usize| WaitSource::Signal(SIGNALS[place].into());
        let child = self.child();
        let sources = match self.choices.of(9) {
            0 | 1 => vec![own],
            2 | 3 => vec![own, other],
            4 => vec![signal(self.choices.of(2))],
            5 => vec![signal(1), signal(0), own],
            6 | 7 => vec![WaitSource::Child(self.awaited(child.as_ref()))],
            _ => Vec::new(),
        };
        let timeout = self.choices.rarely(4).then_some(Duration::from_millis(5));
        let effects = sends.then(command).into_iter().chain(child).collect();
        let (undo, memo) = (self.some_payload(), self.some_payload());
        Ok(StepOutcome::Wait(Wait { sources, timeout, effects, undo, memo }))
    }
}

pub fn correlation(step: u16, undo: bool) -> String {
    format!("{step}/{}", if undo { "undo" } else { "do" })
}

pub fn other(step: u16) -> String {
    format!("{step}/other")
}
