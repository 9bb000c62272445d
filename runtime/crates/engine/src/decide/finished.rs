//! An attempt ended, forward or back.

use std::{mem, time::Duration};

use wasaga_domain::{
    attempt::Direction,
    journal::{Entry, EntryKind},
    manifest::OnUndoFailure,
    outcome::{Arrival, Effect, ErrorDetail, Failure, StepOutcome, Wait, WaitSource},
    state::{Activity, OpenStep, Signal},
};

use super::{Attempted, Finished, IllegalTransition, Turn, entry_of};

/// How long a step whose plugin is not here is put off; that counts as no attempt.
const UNAVAILABLE_MS: u64 = 2_000;

impl Turn<'_> {
    pub(super) fn finished(&mut self, finished: Finished) -> Result<(), IllegalTransition> {
        let Finished { step, outcome, digest, started_at, wrote, reached_out } = finished;
        let state = &self.decision.state;
        let open = state.open.iter().find(|open| open.step == step && open.runs()).cloned();
        let mut open =
            open.ok_or_else(|| IllegalTransition::new("the end of an attempt", state))?;
        let ended = Attempted { digest, started_at, at: self.now.at };
        let outcome = match self.misfit(&outcome) {
            None => outcome,
            Some(why) => {
                // A refusal is no answer: what the attempt asked for before may have been done.
                open.uncertain |= open.is_unsettled() || reached_out;
                open.activity = Activity::Run;
                Err(Failure::Permanent(why))
            }
        };
        match (outcome, self.decision.state.direction()) {
            (Err(Failure::Unavailable(_)), _) => self.put_off(step),
            (Ok(StepOutcome::Wait(wait)), direction) => {
                self.wait(&open, wait, wrote || reached_out, direction, &ended);
            }
            (outcome, Direction::Forward) => self.forward(&open, outcome, &ended),
            (outcome, Direction::Undo) => self.undo(&open, outcome, &ended),
        }
        self.check_deadline();
        // A saga that was to stop when its guests have returned stops now.
        self.turn_back();
        Ok(())
    }

    fn forward(
        &mut self,
        open: &OpenStep,
        outcome: Result<StepOutcome, Failure>,
        ended: &Attempted,
    ) {
        let step = open.step;
        let entry = |kind| entry_of(kind, Direction::Forward, open, ended);
        match outcome {
            Ok(StepOutcome::Done(done)) => {
                let (output, undo) = (Some(done.output), done.undo);
                self.decision.entries.push(Entry { output, undo, ..entry(EntryKind::Succeeded) });
                self.send(step, done.effects);
                self.pass(step, true);
            }
            Ok(StepOutcome::Skipped) => {
                self.decision.entries.push(entry(EntryKind::Skipped));
                self.pass(step, open.uncertain);
            }
            Ok(StepOutcome::Rejected(why)) => {
                self.decision.entries.push(entry(EntryKind::Failed).with_error(why.clone()));
                self.step_failed(step, why, open.uncertain);
            }
            Ok(StepOutcome::Wait(_)) | Err(Failure::Unavailable(_)) => {}
            Err(Failure::Permanent(why)) => {
                // An answer speaks of all attempts: they had one idempotency key.
                let answered = matches!(open.activity, Activity::Resume(Arrival::Message { .. }));
                self.decision.entries.push(entry(EntryKind::Failed).with_error(why.clone()));
                self.step_failed(step, why, open.uncertain && !answered);
            }
            Err(Failure::Retryable { detail, after }) => {
                self.retry(open, detail, after, open.uncertain, ended);
            }
            Err(Failure::Unknown(why)) => self.retry(open, why, None, true, ended),
        }
    }

    fn undo(&mut self, open: &OpenStep, outcome: Result<StepOutcome, Failure>, ended: &Attempted) {
        let step = open.step;
        match outcome {
            Ok(StepOutcome::Done(done)) => {
                let entry = entry_of(EntryKind::Succeeded, Direction::Undo, open, ended);
                self.decision.entries.push(Entry { output: Some(done.output), ..entry });
                self.send(step, done.effects);
                self.state().undid = true;
                self.undone(step);
            }
            Ok(StepOutcome::Rejected(why)) | Err(Failure::Permanent(why)) => {
                self.undo_failed(open, why, ended);
            }
            Ok(StepOutcome::Skipped | StepOutcome::Wait(_)) | Err(Failure::Unavailable(_)) => {}
            Err(Failure::Retryable { detail, after }) => {
                self.retry(open, detail, after, true, ended);
            }
            Err(Failure::Unknown(why)) => self.retry(open, why, None, true, ended),
        }
    }

    fn undo_failed(&mut self, open: &OpenStep, why: ErrorDetail, ended: &Attempted) {
        let step = open.step;
        let entry = entry_of(EntryKind::Failed, Direction::Undo, open, ended);
        self.decision.entries.push(entry.with_error(why.clone()));
        match self.step(step).undo.as_ref().map(|undo| undo.on_failure) {
            Some(OnUndoFailure::GoOn) => {
                self.state().undid = true;
                self.state().leftovers.push(step);
                self.undone(step);
            }
            Some(OnUndoFailure::NeedsAttention) | None => {
                if let Some(open) = self.open(step) {
                    open.activity = Activity::Stuck;
                }
                self.needs_attention(why);
            }
        }
    }

    /// Another attempt after the policy's delay, or none.
    fn retry(
        &mut self,
        open: &OpenStep,
        why: ErrorDetail,
        hint: Option<Duration>,
        uncertain: bool,
        ended: &Attempted,
    ) {
        let direction = self.decision.state.direction();
        let step = self.step(open.step);
        let policy = match (direction, &step.undo) {
            (Direction::Undo, Some(undo)) => &undo.retry,
            _ => &step.retry,
        };
        let failures = open.failures + 1;
        if let Some(open) = self.open(open.step) {
            open.uncertain = uncertain && direction == Direction::Forward;
            open.activity = Activity::Run;
        }
        let entry = |kind| entry_of(kind, direction, open, ended).with_error(why.clone());
        let delay = match policy.delay(failures, hint, self.now.chance) {
            Some(delay) => delay,
            None if direction == Direction::Undo => return self.undo_failed(open, why, ended),
            None if self.is_past_pivot() => {
                self.decision.insists.push(open.step);
                policy.delay_without_end(failures, hint, self.now.chance)
            }
            None => {
                self.decision.entries.push(entry(EntryKind::Failed));
                return self.step_failed(open.step, why, uncertain);
            }
        };
        self.decision.entries.push(entry(EntryKind::Retrying));
        let until = self.now.at.after(delay);
        if let Some(open) = self.open(open.step) {
            open.attempt += 1;
            open.failures = failures;
            open.activity = if delay.is_zero() { Activity::Run } else { Activity::BackOff(until) };
        }
    }

    fn wait(
        &mut self,
        open: &OpenStep,
        wait: Wait,
        did: bool,
        direction: Direction,
        ended: &Attempted,
    ) {
        let Wait { sources, timeout, effects, undo, memo } = wait;
        let entry = entry_of(EntryKind::Waiting, direction, open, ended);
        self.decision.entries.push(Entry { undo, memo, ..entry });
        let policy = self.step(open.step);
        let bound = match (direction, &policy.undo) {
            (Direction::Undo, Some(undo)) => undo.timeout,
            _ => policy.timeout,
        };
        let until = self.now.at.after(timeout.unwrap_or(bound));
        // What an earlier wait of the same attempt sent is still unsettled.
        let sent = did || !effects.is_empty() || open.is_unsettled();
        self.send(open.step, effects);
        let early = self.early_signal(&sources).or_else(|| self.early_end(&sources));
        let activity = match early {
            Some(arrival) => Activity::Resume(arrival),
            None => Activity::Wait { sources, until, sent },
        };
        if let Some(open) = self.open(open.step) {
            open.activity = activity;
            open.was.clear();
        }
    }

    /// A signal that came before its wait.
    fn early_signal(&mut self, sources: &[WaitSource]) -> Option<Arrival> {
        let signals = &mut self.decision.state.signals;
        let awaited =
            |name: &str| sources.iter().any(|s| matches!(s, WaitSource::Signal(n) if n == name));
        let place = signals.iter().position(|signal| awaited(&signal.name))?;
        let Signal { name, payload } = signals.remove(place);
        Some(Arrival::Signal { name, payload })
    }

    /// That counts as no attempt, and an arrival that was to be handed over still is.
    fn put_off(&mut self, step: u16) {
        let until = self.now.at.after(Duration::from_millis(UNAVAILABLE_MS));
        if let Some(open) = self.open(step) {
            open.activity = match mem::replace(&mut open.activity, Activity::Run) {
                Activity::Resume(arrival) => Activity::PutOff { until, arrival: Some(arrival) },
                _ => Activity::PutOff { until, arrival: None },
            };
        }
    }

    fn send(&mut self, step: u16, effects: Vec<Effect>) {
        self.adopt(&effects);
        self.decision.effects.extend(effects.into_iter().map(|effect| (step, effect)));
    }
}
