//! A saga that was started by SQL is taken up for the first time: its steps open, or its input is refused.

use wasaga_domain::{
    outcome::ErrorDetail,
    state::{Course, State},
};

use super::Turn;

impl Turn<'_> {
    pub(super) fn opened(&mut self, refusal: Option<String>) {
        if self.decision.state.course != Course::Unopened {
            return;
        }
        let mail_seen = self.decision.state.mail_seen;
        self.decision.state = State { mail_seen, ..State::initial(self.definition, self.now.at) };
        if let Some(why) = refusal {
            // It turns back with what follows, which may be mail.
            let state = self.state();
            state.open.clear();
            state.course = Course::Stopping(ErrorDetail::new("bad-input", why));
        }
    }
}
