//! Mail: replies, and what operators ask for.

use wasaga_domain::{
    journal::{Entry, EntryKind},
    mail::{Mail, MailContent},
    message::Message,
    outcome::{Arrival, ErrorDetail, WaitSource},
    state::{Activity, Course},
};

use super::Turn;

impl Turn<'_> {
    pub(super) fn mail(&mut self, mail: Vec<Mail>, calling: bool) {
        if !calling {
            // The call that a stopping saga was to wait for is lost.
            self.turn_back();
        }
        for Mail { number, content } in mail {
            if number <= self.decision.state.mail_seen {
                continue;
            }
            self.state().mail_seen = number;
            match content {
                MailContent::Reply { step, correlation, message } => {
                    self.reply(step, correlation, message);
                }
                MailContent::Cancel { reason } => self.cancel(reason, calling),
                MailContent::Resume { reason } => self.resume(reason),
            }
        }
    }

    /// A message goes to the step that waits for it; what comes too late is journalled.
    fn reply(&mut self, step: u16, correlation: String, message: Message) {
        let expected =
            WaitSource::Message { topic: message.topic.clone(), correlation: correlation.clone() };
        let waiting = self.open(step).filter(|open| {
            matches!(&open.activity, Activity::Wait { sources, .. } if sources.contains(&expected))
        });
        if let Some(open) = waiting {
            open.activity = Activity::Resume(Arrival::Message { correlation, message });
            return;
        }
        let late = format!(
            "a message of {} came for {correlation}: nobody waits for it any more",
            message.topic
        );
        let direction = self.decision.state.direction();
        let entry = Entry::of_saga(EntryKind::LateMessage, direction, self.now.at);
        let error = Some(ErrorDetail::new("late-message", late));
        self.decision.entries.push(Entry { step: Some(step), error, ..entry });
    }

    /// A saga that goes forward turns back: at once, or when the guest that is being called has returned.
    fn cancel(&mut self, reason: String, calling: bool) {
        let cause = ErrorDetail::new("cancelled", reason);
        self.note(EntryKind::Cancelled, Some(cause.clone()));
        if self.decision.state.course != Course::Forward {
            return;
        }
        self.state().attention = None;
        self.state().course = Course::Stopping(cause);
        if !calling {
            self.turn_back();
        }
    }

    /// Whatever waits for time goes on now; a failed undo is tried again from its first attempt.
    fn resume(&mut self, reason: String) {
        self.note(EntryKind::Resumed, Some(ErrorDetail::new("resumed", reason)));
        let held = self.state().attention.take().is_some();
        for open in &mut self.decision.state.open {
            match open.activity {
                Activity::Stuck => {
                    open.attempt += 1;
                    open.failures = 0;
                    open.activity = Activity::Run;
                }
                Activity::BackOff(_) => open.activity = Activity::Run,
                Activity::Wait { sent, .. } if !held => {
                    open.uncertain |= sent;
                    open.activity = Activity::Resume(Arrival::TimedOut);
                }
                _ => {}
            }
        }
        if held && self.decision.state.open.is_empty() {
            // They were left last one first, as they were to be undone.
            let leftovers = std::mem::take(&mut self.state().leftovers);
            self.state().done = leftovers.into_iter().rev().collect();
            self.undo_next();
        }
    }
}
