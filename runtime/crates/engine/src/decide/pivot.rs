//! Past a pivot a saga only goes forward: its steps are tried without end, and what will never succeed asks for an
//! operator.
//!
//! A pivot that nothing undoes counts as passed as soon as it may have happened: if it has, there is no way back, and
//! if it has not, only its own next attempt tells.

use wasaga_domain::{definition::Definition, state::State};

use super::Turn;

impl Turn<'_> {
    /// Whether the saga can't turn back any more.
    pub(super) fn is_past_pivot(&self) -> bool {
        is_past_pivot(self.definition, &self.decision.state)
    }
}

/// Whether a saga of this definition can't turn back any more.
pub(super) fn is_past_pivot(definition: &Definition, state: &State) -> bool {
    let step = |step: u16| &definition.steps[usize::from(step)];
    let in_doubt = state.open.iter().filter(|open| open.uncertain || open.is_unsettled());
    let final_alone =
        in_doubt.map(|open| step(open.step)).any(|step| step.pivot && step.undo.is_none());
    let passed = || state.done.iter().chain(&state.skipped).any(|&passed| step(passed).pivot);
    state.cause().is_none() && (final_alone || passed())
}
