//! What a held saga does next: its mail first, then the ends of its attempts, then the calls that are due.

use rand::random;
use tracing::{error, warn};
use wasaga_domain::{
    clock::UnixMillis,
    ids::SagaId,
    mail::Mail,
    ports::{GuestTransaction, StepReport},
};
use wasaga_store::commit::Transition;

use super::{Actor, Event, Pending};
use crate::{
    decide::{self, Finished, Now, decide},
    driver::{committer::Pause, held::Busy},
};

impl Actor {
    /// Does the next thing for a saga that nothing is under way for, or that a guest was called for.
    pub(super) fn go_on(&mut self, saga: SagaId) {
        let Some(held) = self.held.get_mut(&saga) else { return };
        if held.busy != Busy::No {
            return;
        }
        if held.mail > held.state.mail_seen {
            held.busy = Busy::ReadingMail;
            self.read_mail(saga);
        } else if let Some((finished, transaction)) = held.finished.pop_front() {
            self.apply(saga, decide::Event::Finished(finished), transaction);
        } else if self.stopping.is_none() {
            self.call(saga);
        }
    }

    /// Calls the guests of all steps that are to run and are not running.
    fn call(&mut self, saga: SagaId) {
        let now = self.parts.clock.now();
        let Some(held) = self.held.get_mut(&saga) else { return };
        let due: Vec<_> = held
            .state
            .runnable()
            .filter(|open| !held.calling.contains(&open.step))
            .map(|open| (open.step, held.call(open, now)))
            .collect();
        for (step, call) in due {
            held.calling.insert(step);
            let (events, life) = (self.events.clone(), held.life);
            let report = Box::new(move |report| {
                // The actor is gone only when the host is.
                let _ = events.send(Event::Reported { saga, life, step, started_at: now, report });
            });
            self.parts.executor.run(call, report);
        }
    }

    /// A guest has returned.
    pub(super) fn reported(
        &mut self,
        saga: SagaId,
        life: u64,
        step: u16,
        started_at: UnixMillis,
        report: StepReport,
    ) {
        let StepReport { outcome, digest, transaction, .. } = report;
        let wrote = transaction.is_some();
        let finished = Finished { step, outcome, digest, started_at, wrote };
        if let Some(held) = self.held.get_mut(&saga).filter(|held| held.life == life) {
            held.calling.remove(&step);
            held.finished.push_back((finished, transaction));
            self.go_on(saga);
        }
    }

    /// Decides, and sends to the database what has to be committed before anything follows from it.
    pub(super) fn apply(
        &mut self,
        saga: SagaId,
        event: decide::Event,
        transaction: Option<Box<dyn GuestTransaction>>,
    ) {
        let Some(held) = self.held.get_mut(&saga) else { return };
        let at = self.parts.clock.now();
        let finished = match &event {
            decide::Event::Finished(finished) => Some(finished.clone()),
            _ => None,
        };
        let now = Now { at, chance: random() };
        let decision = match decide(&held.facts.definition, &held.state, event, now) {
            Ok(decision) => decision,
            Err(illegal) => {
                error!(%saga, %illegal, "an impossible event was dropped");
                self.go_on(saga);
                return;
            }
        };
        let idle = decision.entries.is_empty() && (!decision.settles() || !held.calling.is_empty());
        if idle {
            held.state = decision.state;
            self.go_on(saga);
            return;
        }
        let transition = held.transition(&decision, at);
        held.busy = Busy::Committing;
        let (life, guest) = (held.life, transaction.is_some());
        let Transition { settles, due, .. } = transition;
        let pending = Pending { saga, life, decision, finished, guest, settles, due };
        match transaction {
            None => self.queue.push((pending, transition)),
            Some(guest) => self.commit_guest(pending, transition, guest),
        }
    }

    fn read_mail(&mut self, saga: SagaId) {
        let Some(held) = self.held.get_mut(&saga) else { return };
        held.busy = Busy::ReadingMail;
        let (life, seen) = (held.life, held.state.mail_seen);
        let (store, events) = (self.parts.store.clone(), self.events.clone());
        tokio::spawn(async move {
            let mut pause = Pause::default();
            let mail = loop {
                match store.mail_load(&[(saga, seen)]).await {
                    Ok(mut mail) => break mail.remove(&saga).unwrap_or_default(),
                    Err(error) => warn!(%saga, %error, "mail cannot be read: tried again"),
                }
                pause.wait().await;
            };
            let _ = events.send(Event::MailRead { saga, life, mail });
        });
    }

    pub(super) fn mail_read(&mut self, saga: SagaId, life: u64, mail: Vec<Mail>) {
        let Some(held) = self.held.get_mut(&saga).filter(|held| held.life == life) else { return };
        held.busy = Busy::No;
        let last = mail.last().map_or(held.state.mail_seen, |last| last.number);
        held.mail = last.max(held.state.mail_seen);
        // An attempt that has ended counts as running: its end is decided next.
        let calling = !held.calling.is_empty() || !held.finished.is_empty();
        if mail.is_empty() {
            self.go_on(saga);
        } else {
            self.apply(saga, decide::Event::Mail { mail, calling }, None);
        }
    }
}
