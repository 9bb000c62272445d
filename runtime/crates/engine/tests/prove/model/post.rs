//! Mail: replies, signals and children's ends.

use wasaga_domain::{
    mail::{Mail, MailContent},
    outcome::WaitSource,
};

use super::{Called, Doing, Model, Moment, Way};

/// So many signals are kept for steps that will wait for them.
const SIGNALS: usize = 64;

impl Model {
    pub fn mail(&mut self, mail: &[Mail], now: Moment) {
        self.begin();
        self.follow(now);
        for Mail { number, content } in mail {
            if *number <= self.mail {
                self.note("mail", "read again");
                continue;
            }
            self.mail = *number;
            match content {
                MailContent::Reply { step, correlation, message } => {
                    let (topic, correlation) = (message.topic.clone(), correlation.clone());
                    self.reply(*step, &WaitSource::Message { topic, correlation });
                }
                MailContent::Signal { name, .. } => self.signal(name),
                MailContent::Child(end) => self.child_ends(end.saga),
                MailContent::Verb { verb, .. } => self.asked(verb, now),
            }
            self.follow(now);
        }
    }

    fn reply(&mut self, step: u16, source: &WaitSource) {
        match &mut self.truth(step).work {
            Some(work) if work.waits_for(source) => {
                work.doing = Doing::Ready(Called::Message);
                self.note("mail", "a reply is taken");
            }
            _ => {
                self.told.late += 1;
                self.note("mail", "a reply is late");
            }
        }
    }

    /// To the first step that waits for it.
    fn signal(&mut self, name: &str) {
        if let Some(step) = self.first_waiting(&WaitSource::Signal(name.into())) {
            self.work(step).doing = Doing::Ready(Called::Signal);
            self.note("mail", "a signal is taken");
        } else if matches!(self.way, Way::Ended(_)) {
            self.told.late += 1;
            self.note("mail", "a signal is late");
        } else if self.signals.len() < SIGNALS {
            self.signals.push(name.into());
            self.note("mail", "a signal is kept");
        } else {
            self.told.late += 1;
            self.note("mail", "a signal is dropped");
        }
    }

    pub(super) fn first_waiting(&self, source: &WaitSource) -> Option<u16> {
        let waiting = self.works().filter(|(_, work)| work.waits_for(source));
        waiting.min_by_key(|(_, work)| work.began).map(|(step, _)| step)
    }

    /// Takes the first kept signal that is one of these.
    pub(super) fn kept_signal(&mut self, sources: &[WaitSource]) -> bool {
        let is_awaited = |name: &String| sources.contains(&WaitSource::Signal(name.clone()));
        let Some(place) = self.signals.iter().position(is_awaited) else { return false };
        self.signals.remove(place);
        self.note("mail", "a kept signal is taken");
        true
    }
}
