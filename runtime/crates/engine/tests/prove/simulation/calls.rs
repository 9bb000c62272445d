//! What guests are told when they are called.

use wasaga_domain::{
    attempt::Direction,
    outcome::Arrival,
    ports::{CallKind, StepCall},
    state::Activity,
};

use super::Simulation;
use crate::{
    model::{Called, Handed},
    store::Store,
};

impl<S: Store> Simulation<S> {
    /// Calls the guests of all steps that are to run and are not running.
    pub(super) fn call(&mut self) {
        let (now, host) = (self.now, self.host.as_mut().expect("a host holds it"));
        let held = &host.held;
        let due = held.state.runnable().filter(|open| !held.calling.contains(&open.step));
        let due: Vec<_> = due.map(|open| (open.step, held.call(open, now))).collect();
        for (step, call) in due {
            self.check_call(step, &call);
            let host = self.host();
            host.held.calling.insert(step);
            host.calls.insert(step, call);
        }
        let host = self.host();
        let undo = host.held.state.direction() == Direction::Undo;
        let at_once = match (host.calls.len(), undo) {
            (0 | 1, _) => return,
            (2, false) => "two calls",
            (2, true) => "two undos",
            (_, false) => "three calls",
            (_, true) => "three undos",
        };
        self.saw("at once", at_once);
    }

    /// A guest is handed what its step left, under the key of all attempts of its step in its direction.
    fn check_call(&mut self, step: u16, call: &StepCall) {
        let direction = call.attempt.direction;
        self.tell(|| format!("call of {step} {}: {:?}", direction.as_str(), call.kind));
        let model = &self.host.as_ref().expect("a host holds it").model;
        assert_eq!(handed(call), model.handed(step), "(engine, model): what step {step} is handed");
        let guarded = self.definition.steps[usize::from(step)].guarded;
        assert!(
            !matches!(call.kind, CallKind::Execute { guarded: asked } if asked != guarded),
            "step {step} is guarded: {guarded}"
        );
        let key = &call.attempt.idempotency_key;
        let known = self.keys.entry((step, direction)).or_insert_with(|| key.clone());
        assert_eq!(known, key, "attempts of one step have one idempotency key");
        let same = self.keys.values().filter(|other| *other == key).count();
        assert_eq!(same, 1, "{key} is the key of one step and direction");
        let of = if direction == Direction::Undo { "undo call" } else { "call" };
        self.count(of, called(call).as_str());
    }
}

fn handed(call: &StepCall) -> Handed {
    let (memo, undo) = match &call.kind {
        CallKind::Execute { .. } => (None, None),
        CallKind::Resume { memo, undo, .. } => (memo.clone(), undo.clone()),
        CallKind::Compensate { undo } => (None, undo.clone()),
    };
    Handed { direction: call.attempt.direction, called: called(call), memo, undo }
}

pub(super) fn called(call: &StepCall) -> Called {
    match &call.kind {
        CallKind::Resume { arrival, .. } => called_with(arrival),
        CallKind::Execute { .. } | CallKind::Compensate { .. } => Called::Fresh,
    }
}

pub(super) fn called_of(activity: &Activity) -> Called {
    match activity {
        Activity::Resume(arrival) => called_with(arrival),
        _ => Called::Fresh,
    }
}

fn called_with(arrival: &Arrival) -> Called {
    match arrival {
        Arrival::Message { .. } => Called::Message,
        Arrival::Signal { .. } => Called::Signal,
        Arrival::Child { .. } => Called::Child,
        Arrival::TimedOut => Called::TimedOut,
    }
}
