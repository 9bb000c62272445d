//! A host took the lease.

use wasaga_domain::{attempt::Direction, journal::EntryKind, outcome::ErrorDetail, state::Course};

use super::Turn;

/// A step that was lost with its host so often in a row may be what kills the hosts: it is not tried again
/// before an operator has looked.
const INTERRUPTIONS_TOLERATED: u16 = 2;

impl Turn<'_> {
    /// Each lost lease counts as an attempt of whatever could have been running. Nothing of it happened, unless its guest
    /// may reach what is outside its host's transaction.
    pub(super) fn claimed(&mut self, interruptions: u16, reaching_out: &[u16]) {
        let forward = self.decision.state.direction() == Direction::Forward;
        for open in &mut self.decision.state.open {
            let ran = interruptions > 0 && open.runs() && reaching_out.contains(&open.step);
            open.uncertain |= ran && forward;
        }
        if matches!(self.decision.state.course, Course::Stopping(_)) {
            // The call that it was to wait for is lost.
            self.turn_back();
            return;
        }
        for open in &mut self.decision.state.open {
            if open.runs() {
                open.attempt += u32::from(interruptions);
            }
        }
        if interruptions > INTERRUPTIONS_TOLERATED
            && self.decision.state.runnable().next().is_some()
        {
            let why = ErrorDetail::new(
                "interrupted",
                format!("its host was lost {interruptions} times in a row while it ran"),
            );
            self.note(EntryKind::Interrupted, Some(why.clone()));
            self.needs_attention(why);
        }
    }
}
