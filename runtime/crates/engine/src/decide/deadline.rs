//! A saga that has not ended at its deadline turns back, unless it can't.

use wasaga_domain::{outcome::ErrorDetail, state::Course};

use super::Turn;

impl Turn<'_> {
    /// Turns the saga back when its time is over.
    pub(super) fn check_deadline(&mut self) {
        let state = &self.decision.state;
        let over = state.deadline.is_some_and(|deadline| deadline <= self.now.at);
        if over && state.course == Course::Forward && !state.is_held() && !self.is_past_pivot() {
            let why =
                ErrorDetail::new("deadline-exceeded", "the saga had not ended at its deadline");
            self.state().course = Course::Stopping(why);
        }
    }
}
