//! What a held saga does next: its mail first, then the ends of its attempts, then the calls that are due.

use std::{cmp::Reverse, sync::Arc};

use rand::random;
use tokio::time::Instant;
use tracing::{error, warn};
use wasaga_domain::{
    clock::UnixMillis,
    ids::{HostId, SagaId},
    ports::{GuestTransaction, StepReport},
};
use wasaga_store::{StoreError, commit::Transition};

use super::{Actor, Event, Pending};
use crate::{
    decide::{self, Finished, Now, decide},
    driver::{
        claims::Reach,
        committer::Pause,
        held::{Busy, Held},
        post,
    },
};

impl Actor {
    /// Does the next thing for a saga that nothing is under way for, or that a guest was called for.
    pub(super) fn go_on(&mut self, saga: SagaId) {
        let now = self.parts.clock.now();
        let Some(held) = self.held.get_mut(&saga) else { return };
        if held.busy != Busy::No {
            return;
        }
        let due = held.state.due();
        if held.mail > held.state.mail_seen && !held.awaits_calls() {
            held.busy = Busy::ReadingMail;
            self.read_mail(saga);
        } else if let Some((finished, transaction)) = held.finished.pop_front() {
            self.apply(saga, decide::Event::Finished(finished), transaction);
        } else if due.is_some_and(|due| due <= now) || held.has_nothing_to_do() {
            self.apply(saga, decide::Event::Due, None);
        } else if self.stopping.is_none() && !held.awaits_calls() {
            self.call(saga);
            self.note_wake(saga, due, now);
        }
    }

    /// A saga that is held for one of its steps may have another one that waits for time.
    fn note_wake(&mut self, saga: SagaId, due: Option<UnixMillis>, now: UnixMillis) {
        let Some((held, due)) = self.held.get_mut(&saga).zip(due) else { return };
        if held.wake != Some(due) {
            held.wake = Some(due);
            self.dues.push(Reverse((Instant::now() + due.since(now), Some(saga))));
        }
    }

    /// Times have come.
    pub(super) fn due(&mut self) {
        let now = Instant::now();
        while self.dues.peek().is_some_and(|due| due.0.0 <= now) {
            match self.dues.pop().and_then(|Reverse((_, saga))| saga) {
                Some(saga) => self.go_on(saga),
                None => self.claim(Reach::Due),
            }
        }
    }

    /// Asks whether there is mail for sagas that are held: whoever posts it may not be here.
    pub(super) fn look_for_mail(&self, which: impl Fn(&Held) -> bool) {
        let sagas = self.held.values().filter(|held| which(held)).map(|held| held.facts.id);
        let sagas: Vec<_> = sagas.take(self.options.batch).collect();
        let Some(host) = self.host.filter(|_| !sagas.is_empty()) else { return };
        let (store, events) = (self.parts.store.clone(), self.events.clone());
        tokio::spawn(async move {
            let mail = store.sagas_mail(&sagas).await;
            let _ = events.send(Event::Mailed(host, mail));
        });
    }

    pub(super) fn mailed(&mut self, host: HostId, mail: Result<Vec<(SagaId, i64)>, StoreError>) {
        if self.host != Some(host) {
            return;
        }
        for (saga, mail) in mail.unwrap_or_default() {
            if let Some(held) = self.held.get_mut(&saga).filter(|held| held.mail < mail) {
                held.mail = mail;
                self.go_on(saga);
            }
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
        let StepReport { outcome, digest, transaction, reached_out, took: _ } = report;
        let wrote = transaction.is_some();
        let finished = Finished { step, outcome, digest, started_at, wrote, reached_out };
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
        let calling = held.under_way();
        let now = Now { at, chance: random(), calling: &calling };
        let decision = match decide(&held.facts.definition, &held.state, event, now) {
            Ok(decision) => decision,
            Err(illegal) => {
                error!(%saga, %illegal, "an impossible event was dropped");
                self.go_on(saga);
                return;
            }
        };
        let idle = decision.entries.is_empty() && (!decision.settles() || held.is_under_way());
        if idle {
            held.state = decision.state;
            self.go_on(saga);
            return;
        }
        let hears = self.parts.definitions.hears(&held.facts.definition.plugin);
        let transition = held.transition(&decision, at, hears);
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
        let definitions = Arc::clone(&self.parts.definitions);
        let definition = Arc::clone(&held.facts.definition.name);
        tokio::spawn(async move {
            let mut pause = Pause::default();
            let mail = loop {
                match store.mail_load(&[(saga, seen)]).await {
                    Ok(mut mail) => break mail.remove(&saga).unwrap_or_default(),
                    Err(error) => warn!(%saga, %error, "mail cannot be read: tried again"),
                }
                pause.wait().await;
            };
            let last = mail.last().map(|last| last.number);
            let event = post::event(&*definitions, &definition, mail).await;
            let _ = events.send(Event::MailRead { saga, life, last, event });
        });
    }

    pub(super) fn mail_read(
        &mut self,
        saga: SagaId,
        life: u64,
        last: Option<i64>,
        event: Option<decide::Event>,
    ) {
        let Some(held) = self.held.get_mut(&saga).filter(|held| held.life == life) else { return };
        held.busy = Busy::No;
        held.mail = last.unwrap_or_default().max(held.state.mail_seen);
        let is_migration = matches!(event, Some(decide::Event::Migrate(_)));
        held.migrates = is_migration && !held.calling.is_empty();
        match event {
            Some(event) if !held.migrates => self.apply(saga, event, None),
            _ => self.go_on(saga),
        }
    }
}
