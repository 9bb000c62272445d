//! On the way to the saga's end.

use std::{mem, time::Duration};

use wasaga_domain::outcome::{Failure, StepOutcome, Wait};

use super::{Called, Doing, Effect, Model, Moment, Undo, Way, Work};
use crate::outcomes::Outcome;

/// Before a plugin that is not here is looked for again.
const PUT_OFF: Duration = Duration::from_secs(2);

impl Model {
    /// A guest has returned.
    pub fn ends(&mut self, step: u16, outcome: &Outcome, wrote: bool, now: Moment) {
        self.begin();
        let Doing::Ready(called) = self.work(step).doing else { panic!("{step} was not called") };
        if self.paused {
            self.note("pause", "a guest returned meanwhile");
        }
        let misused = self.misuses_children(outcome);
        if misused {
            self.note("children", "misused");
            // What an earlier part of the attempt asked for may have been done.
            self.work(step).doubt |= called != Called::Fresh;
        }
        match (outcome, self.way) {
            (_, Way::Back) if misused => self.undo_fails(step),
            _ if misused => self.fails(step),
            (Err(Failure::Unavailable(_)), _) => {
                self.work(step).doing = Doing::PutOff(now.at.after(PUT_OFF), called);
            }
            (Ok(StepOutcome::Wait(wait)), _) => self.waits(step, wait, wrote, called, now),
            (_, Way::Back) => self.undo_ends(step, outcome, now),
            _ => self.step_ends(step, outcome, called, now),
        }
        self.follow(now);
        self.check_deadline(now);
        self.follow(now);
    }

    fn step_ends(&mut self, step: u16, outcome: &Outcome, called: Called, now: Moment) {
        let work = self.work(step);
        work.asked = false;
        match outcome {
            Ok(StepOutcome::Done(done)) => {
                self.starts(&done.effects);
                self.truth(step).undo.clone_from(&done.undo);
                self.pass(step, true);
            }
            Ok(StepOutcome::Skipped) => {
                let doubt = work.doubt;
                self.pass(step, doubt);
            }
            Err(Failure::Unknown(_)) => {
                work.doubt = true;
                self.try_again(step, None, now);
            }
            Err(Failure::Retryable { after, .. }) => self.try_again(step, *after, now),
            Err(Failure::Permanent(_)) => {
                // A message answers for all attempts: they had one idempotency key.
                if called == Called::Message {
                    let doubt = mem::take(&mut work.doubt);
                    self.answered(step, doubt);
                }
                self.fails(step);
            }
            _ => self.fails(step),
        }
    }

    fn answered(&mut self, step: u16, doubt: bool) {
        if doubt {
            self.note("doubt", "ended by an answer");
        }
        if self.is_final_alone(step) {
            self.note("pivot", "an answer ended the doubt");
        }
    }

    fn waits(&mut self, step: u16, wait: &Wait, wrote: bool, called: Called, now: Moment) {
        let policy = &self.definition.steps[usize::from(step)];
        let bound = match (self.way, &policy.undo) {
            (Way::Back, Some(undo)) => undo.timeout,
            _ => policy.timeout,
        };
        let until = now.at.after(wait.timeout.unwrap_or(bound));
        self.starts(&wait.effects);
        let early = if self.kept_signal(&wait.sources) {
            Some(Called::Signal)
        } else {
            self.has_ended(&wait.sources).then_some(Called::Child)
        };
        if self.way != Way::Back {
            self.truth(step).undo.clone_from(&wait.undo);
        }
        let work = self.work(step);
        work.memo.clone_from(&wait.memo);
        work.undo.clone_from(&wait.undo);
        // What an earlier wait of this attempt asked for is not settled by an acknowledgement.
        work.asked |= wrote || !wait.effects.is_empty() || called != Called::Fresh;
        work.doing = match early {
            Some(called) => Doing::Ready(called),
            None => Doing::Waits { sources: wait.sources.clone(), until },
        };
    }

    /// As its policy says; past the pivot without end.
    fn try_again(&mut self, step: u16, hint: Option<Duration>, now: Moment) {
        let policy = self.definition.steps[usize::from(step)].retry.clone();
        let work = self.work(step);
        work.failures += 1;
        let failures = work.failures;
        // This attempt is over: whether a pivot is in doubt is said by what is left of it.
        work.doing = Doing::Ready(Called::Fresh);
        match policy.delay(failures, hint, now.chance) {
            Some(delay) => self.rests(step, delay, now),
            None if self.is_past_pivot() => {
                self.note("pivot", "tried without end");
                self.told.insists.push(step);
                let delay = policy.delay_without_end(failures, hint, now.chance);
                self.rests(step, delay, now);
            }
            None => self.fails(step),
        }
    }

    fn rests(&mut self, step: u16, delay: Duration, now: Moment) {
        if !delay.is_zero() {
            self.work(step).doing = Doing::Rests(now.at.after(delay));
        }
    }

    /// For good.
    fn fails(&mut self, step: u16) {
        self.work(step).doing = Doing::GaveUp;
        if self.is_past_pivot() {
            self.note("pivot", "asks for an operator");
            self.gave_up = true;
        } else if self.way == Way::Forward {
            self.note("turn", "a step failed");
            self.way = Way::Stopping;
        } else {
            self.note("turn", "another step failed meanwhile");
        }
    }

    /// `happened`: or may have.
    pub(super) fn pass(&mut self, step: u16, happened: bool) {
        let done = self.tick();
        if self.way == Way::Stopping && self.definition.steps[usize::from(step)].pivot {
            self.note("pivot", "passed after the reason to turn back");
        }
        let truth = self.truth(step);
        let work = truth.work.take().expect("it is being worked on");
        truth.passed = true;
        truth.effect = happened.then_some(Effect { began: work.began, done, undo: Undo::Owed });
    }

    /// A step begins when all it comes after have passed.
    pub(super) fn open_steps(&mut self) {
        let passed = |step: u16| self.truths[usize::from(step)].passed;
        let begins = |step: &u16| {
            let truth = &self.truths[usize::from(*step)];
            let after = &self.definition.steps[usize::from(*step)].after;
            !truth.passed && truth.work.is_none() && after.iter().all(|&before| passed(before))
        };
        let steps: Vec<_> = (0..self.truths.len() as u16).filter(begins).collect();
        for step in steps {
            let began = self.tick();
            self.truth(step).work = Some(Work::begins(began));
        }
    }
}
