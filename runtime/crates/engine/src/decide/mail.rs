//! Mail: replies and signals; what operators ask for is in `verbs`.

use wasaga_domain::{
    journal::{Entry, EntryKind},
    mail::{Mail, MailContent},
    message::Message,
    outcome::{Arrival, ErrorDetail, WaitSource},
    payload::Payload,
    state::{Activity, OpenStep, Signal},
};

use super::Turn;

/// So many signals may wait for their step.
const EARLY_SIGNALS: usize = 64;

impl Turn<'_> {
    pub(super) fn mail(&mut self, mail: Vec<Mail>) {
        // The call that a stopping saga was to wait for may be lost.
        self.turn_back();
        for Mail { number, content } in mail {
            if number <= self.decision.state.mail_seen {
                continue;
            }
            self.state().mail_seen = number;
            match content {
                MailContent::Reply { step, correlation, message } => {
                    self.reply(step, correlation, message);
                }
                MailContent::Signal { name, payload } => self.signal(name, payload),
                MailContent::Child(end) => self.child_ended(end),
                MailContent::Verb { verb, by } => self.verb(verb, by),
            }
        }
    }

    /// A message goes to the step that waits for it; what comes too late is journalled.
    fn reply(&mut self, step: u16, correlation: String, message: Message) {
        let expected =
            WaitSource::Message { topic: message.topic.clone(), correlation: correlation.clone() };
        let is_meant = |open: &&mut OpenStep| {
            (open.step == step || open.was.contains(&step)) && waits_for(open, &expected)
        };
        if let Some(open) = self.state().open.iter_mut().find(is_meant) {
            open.activity = Activity::Resume(Arrival::Message { correlation, message });
            return;
        }
        let late = format!(
            "a message of {} came for {correlation}: nobody waits for it any more",
            message.topic
        );
        let step = Some(step).filter(|step| usize::from(*step) < self.definition.steps.len());
        self.late(step, "late-message", late);
    }

    /// A signal goes to the first step that waits for it, or is kept for one that will.
    fn signal(&mut self, name: String, payload: Payload) {
        let expected = WaitSource::Signal(name.clone());
        if let Some(open) = self.state().open.iter_mut().find(|open| waits_for(open, &expected)) {
            open.activity = Activity::Resume(Arrival::Signal { name, payload });
        } else if self.decision.state.is_over() {
            self.late(
                None,
                "late-signal",
                format!("the signal {name} came when the saga had ended"),
            );
        } else if self.decision.state.signals.len() < EARLY_SIGNALS {
            self.state().signals.push(Signal { name, payload });
        } else {
            let full = format!(
                "the signal {name} was dropped: {EARLY_SIGNALS} wait for their steps already"
            );
            self.late(None, "too-many-signals", full);
        }
    }

    fn late(&mut self, step: Option<u16>, code: &str, what: String) {
        let direction = self.decision.state.direction();
        let entry = Entry::of_saga(EntryKind::LateMessage, direction, self.now.at);
        let error = Some(ErrorDetail::new(code, what));
        self.decision.entries.push(Entry { step, error, ..entry });
    }
}

pub(super) fn waits_for(open: &OpenStep, source: &WaitSource) -> bool {
    matches!(&open.activity, Activity::Wait { sources, .. } if sources.contains(source))
}
