//! How steps open and pass on the way to the saga's end.

use wasaga_domain::{
    journal::EntryKind,
    state::{Course, OpenStep},
};

use super::Turn;

impl Turn<'_> {
    /// Takes a step out of those that are open.
    pub(super) fn close(&mut self, step: u16) -> Option<OpenStep> {
        let open = &mut self.decision.state.open;
        let place = open.iter().position(|open| open.step == step)?;
        Some(open.remove(place))
    }

    /// An open step has passed; `happened`: its effect may have, and an undo of the saga has to undo it.
    pub(super) fn pass(&mut self, step: u16, happened: bool) {
        match self.close(step) {
            Some(open) if happened => self.complete(&open),
            _ => self.state().skipped.push(step),
        }
        self.advance();
    }

    /// Notes an effect, and that it overtook what is still open: those two ran in parallel.
    fn complete(&mut self, open: &OpenStep) {
        let state = self.state();
        let place = state.done.len() as u16;
        if let Some(began) = open.overtaken {
            state.overtaken.push((place, began));
        }
        state.done.push(open.step);
        for other in &mut state.open {
            other.overtaken.get_or_insert(place);
        }
    }

    /// Opens the steps whose turn it is, or completes the saga. A saga that is stopping opens nothing.
    fn advance(&mut self) {
        if self.decision.state.course != Course::Forward {
            return;
        }
        let (definition, now) = (self.definition, self.now.at);
        let state = self.state();
        state.open_next(definition, now);
        if state.open.is_empty() {
            state.course = Course::Completed;
            self.note(EntryKind::Completed, None);
        }
    }
}
