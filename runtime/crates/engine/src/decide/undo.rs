//! How a saga turns back: exactly the steps whose effect happened or may have happened, in reverse order of
//! completion. A declined payment did nothing, so that nothing refunds it.

use wasaga_domain::{
    journal::EntryKind,
    outcome::ErrorDetail,
    state::{Activity, Course, OpenStep},
};

use super::Turn;
use crate::breaks::broken;

impl Turn<'_> {
    /// Once no guest is being called, ends what is open (an unanswered step may have happened) and starts to undo.
    pub(super) fn turn_back(&mut self) {
        let Course::Stopping(cause) = &self.decision.state.course else {
            return;
        };
        if !self.now.calling.is_empty() {
            return;
        }
        let cause = cause.clone();
        let state = self.state();
        let first = state.done.len() as u16;
        for open in std::mem::take(&mut state.open) {
            if open.uncertain || open.is_unsettled() {
                // They ran in parallel with each other, and are undone before all that were done by then.
                let place = state.done.len() as u16;
                if place > first {
                    state.overtaken.push((place, first));
                }
                state.done.push(open.step);
            }
        }
        (state.course, state.attention) = (Course::Undo(cause.clone()), None);
        self.note(EntryKind::Undoing, Some(cause));
        self.cancel_children();
        self.undo_next();
    }

    /// The step failed for good: the saga turns back, or asks for an operator where it can't. `happened`: the step's
    /// effect may have happened all the same.
    pub(super) fn step_failed(&mut self, step: u16, why: ErrorDetail, happened: bool) {
        if let Some(open) = self.open(step) {
            (open.uncertain, open.activity) = (happened, Activity::Stuck);
        }
        if self.is_past_pivot() {
            return self.needs_attention(why);
        }
        let state = self.state();
        if state.course == Course::Forward {
            state.course = Course::Stopping(why);
        }
    }

    /// An undo has run, or need not.
    pub(super) fn undone(&mut self, step: u16) {
        self.close(step);
        self.state().undone.push(step);
        self.undo_next();
    }

    /// Opens the undos whose turn it is, or ends the saga: a step is undone when all that began after it was done
    /// are.
    pub(super) fn undo_next(&mut self) {
        let state = &self.decision.state;
        let remains = |step: u16| !state.undone.contains(&step) && self.step(step).undo.is_some();
        let left: Vec<_> = (0..).zip(&state.done).filter(|(_, step)| remains(**step)).collect();
        let bound = left.iter().map(|(place, _)| state.began_after(*place)).max();
        if let Some(bound) = bound.map(|bound| if broken("undo-order") { 0 } else { bound }) {
            let is_open = |step: u16| state.open.iter().any(|open| open.step == step);
            let next =
                left.iter().rev().filter(|(place, step)| *place >= bound && !is_open(**step));
            let next: Vec<_> = next.map(|(_, step)| OpenStep::first(**step, self.now.at)).collect();
            self.state().open.extend(next);
            return;
        }
        if !state.leftovers.is_empty() {
            let names: Vec<_> =
                state.leftovers.iter().map(|&step| &*self.step(step).name).collect();
            let what = format!("the undo of {} gave up: {0} may still stand", names.join(", "));
            self.needs_attention(ErrorDetail::new("leftovers", what));
            return;
        }
        self.end_undone();
    }

    /// It is back.
    pub(super) fn end_undone(&mut self) {
        let Course::Undo(cause) = &self.decision.state.course else {
            return;
        };
        let cause = cause.clone();
        let (course, kind) = if self.decision.state.undid {
            (Course::Compensated(cause.clone()), EntryKind::Compensated)
        } else {
            (Course::Failed(cause.clone()), EntryKind::SagaFailed)
        };
        self.state().course = course;
        self.note(kind, Some(cause));
    }
}
