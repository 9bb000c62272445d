//! Time is up: a back-off is over, or a wait is.

use wasaga_domain::{outcome::Arrival, state::Activity};

use super::Turn;

impl Turn<'_> {
    pub(super) fn due(&mut self) {
        let now = self.now.at;
        if self.state().attention.is_some() {
            return;
        }
        for open in &mut self.decision.state.open {
            match open.activity {
                Activity::BackOff(at) if at <= now => {
                    open.activity = Activity::Run;
                }
                Activity::Wait { until, sent, .. } if until <= now => {
                    // Whoever was asked may have done it, and not have answered.
                    open.uncertain |= sent;
                    open.activity = Activity::Resume(Arrival::TimedOut);
                }
                _ => {}
            }
        }
    }
}
