//! Time is up: a back-off is over, or a wait is, or the saga's own time.

use wasaga_domain::{outcome::Arrival, state::Activity};

use super::Turn;

impl Turn<'_> {
    pub(super) fn due(&mut self) {
        let now = self.now.at;
        if self.decision.state.is_held() {
            return;
        }
        self.check_deadline();
        for open in &mut self.decision.state.open {
            open.put_off_no_longer(now);
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
        self.turn_back();
    }
}
