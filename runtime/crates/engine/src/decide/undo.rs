//! How a saga turns back: exactly the steps whose effect happened or may have happened, in reverse order of
//! completion. A declined payment did nothing, so that nothing refunds it.

use wasaga_domain::{
    journal::EntryKind,
    outcome::ErrorDetail,
    state::{Course, OpenStep},
};

use super::{Turn, is_unsettled};

impl Turn<'_> {
    /// Ends what is open (an unanswered step may have happened) and starts to undo.
    pub(super) fn turn_back(&mut self) {
        let Course::Stopping(cause) = &self.decision.state.course else {
            return;
        };
        let cause = cause.clone();
        self.decision.put_off = None;
        let state = self.state();
        for open in std::mem::take(&mut state.open) {
            if open.uncertain || is_unsettled(&open.activity) {
                state.done.push(open.step);
            }
        }
        state.course = Course::Undo(cause.clone());
        self.note(EntryKind::Undoing, Some(cause));
        self.undo_next();
    }

    /// The step failed for good: the saga turns back. `happened`: its effect may have happened all the same.
    pub(super) fn step_failed(&mut self, step: u16, why: ErrorDetail, happened: bool) {
        self.close(step);
        let state = self.state();
        if happened {
            state.done.push(step);
        }
        if state.course == Course::Forward {
            state.course = Course::Stopping(why);
        }
        self.turn_back();
    }

    /// Opens the undo of the last step that is not undone yet, or ends the saga.
    pub(super) fn undo_next(&mut self) {
        while let Some(&step) = self.decision.state.done.last() {
            if self.step(step).undo.is_some() {
                let open = OpenStep::first(step, self.now.at);
                self.state().open.push(open);
                return;
            }
            self.state().done.pop();
        }
        if !self.decision.state.leftovers.is_empty() {
            let names: Vec<_> =
                self.decision.state.leftovers.iter().map(|&step| &*self.step(step).name).collect();
            let what = format!("the undo of {} gave up: {0} may still stand", names.join(", "));
            self.needs_attention(ErrorDetail::new("leftovers", what));
            return;
        }
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
