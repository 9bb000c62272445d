//! On the way back.

use std::cmp::Reverse;

use wasaga_domain::{
    manifest::OnUndoFailure,
    outcome::{Failure, StepOutcome},
};

use super::{Called, Doing, Effect, Model, Moment, Undo, Way, Work};
use crate::outcomes::Outcome;

impl Model {
    /// Effects that are still to be undone, with their steps.
    pub(super) fn owed(&self) -> impl Iterator<Item = (u16, Effect)> {
        self.effects_of(Undo::Owed)
    }

    pub(super) fn leftovers(&self) -> impl Iterator<Item = (u16, Effect)> {
        self.effects_of(Undo::LeftOver)
    }

    fn effects_of(&self, undo: Undo) -> impl Iterator<Item = (u16, Effect)> {
        let effects = (0..).zip(self.truths.iter().map(|truth| truth.effect));
        let effects = effects.filter_map(|(step, effect)| Some((step, effect?)));
        effects.filter(move |(step, effect)| {
            effect.undo == undo && self.definition.steps[usize::from(*step)].undo.is_some()
        })
    }

    /// All that is left gave up: an operator decides.
    pub(super) fn has_only_leftovers(&self) -> bool {
        self.way == Way::Back && self.owed().next().is_none() && self.leftovers().next().is_some()
    }

    /// An undo begins when those of all steps that began after it was done have ended.
    pub(super) fn open_undos(&mut self) {
        let owed: Vec<_> = self.owed().collect();
        let is_next = |done: u32| owed.iter().all(|(_, other)| other.began < done);
        let is_open = |step: u16| self.truths[usize::from(step)].work.is_some();
        let mut next: Vec<_> =
            owed.iter().filter(|(step, effect)| is_next(effect.done) && !is_open(*step)).collect();
        next.sort_unstable_by_key(|(_, effect)| Reverse(effect.done));
        for &&(step, _) in &next {
            let began = self.tick();
            self.truth(step).work = Some(Work::begins(began));
        }
    }

    pub(super) fn undo_ends(&mut self, step: u16, outcome: &Outcome, now: Moment) {
        let undo = self.definition.steps[usize::from(step)].undo.clone().expect("it has an undo");
        let hint = match outcome {
            Ok(StepOutcome::Done(done)) => {
                self.starts(&done.effects);
                self.undid = true;
                return self.settle(step, Undo::Settled);
            }
            Err(Failure::Retryable { after, .. }) => *after,
            Err(Failure::Unknown(_)) => None,
            _ => return self.undo_fails(step),
        };
        let work = self.work(step);
        work.failures += 1;
        work.asked = false;
        match undo.retry.delay(work.failures, hint, now.chance) {
            None => self.undo_fails(step),
            Some(delay) if delay.is_zero() => work.doing = Doing::Ready(Called::Fresh),
            Some(delay) => work.doing = Doing::Rests(now.at.after(delay)),
        }
    }

    pub(super) fn undo_fails(&mut self, step: u16) {
        let undo = self.definition.steps[usize::from(step)].undo.as_ref();
        match undo.expect("it has an undo").on_failure {
            OnUndoFailure::GoOn => {
                self.undid = true;
                self.settle(step, Undo::LeftOver);
                self.note("undo", "gave up, and the others went on");
            }
            OnUndoFailure::NeedsAttention => {
                self.work(step).doing = Doing::GaveUp;
                self.gave_up = true;
                self.note("attention", "an undo gave up");
            }
        }
    }

    pub(super) fn settle(&mut self, step: u16, undo: Undo) {
        let truth = self.truth(step);
        truth.work = None;
        if let Some(effect) = &mut truth.effect {
            effect.undo = undo;
        }
    }
}
