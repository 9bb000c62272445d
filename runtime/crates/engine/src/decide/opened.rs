//! A saga that was started by SQL is taken up for the first time: its steps open, or its input is refused.

use wasaga_domain::{
    journal::EntryKind,
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
            let why = ErrorDetail::new("bad-input", why);
            let state = self.state();
            state.open.clear();
            state.course = Course::Failed(why.clone());
            self.note(EntryKind::SagaFailed, Some(why));
        }
    }
}
