//! What goes to the database, and what follows from its answer.

use std::mem;

use metrics::{counter, gauge, histogram};
use tracing::{error, warn};
use wasaga_domain::{
    attempt::Direction,
    ids::{HostId, SagaId},
    journal::EntryKind,
    outcome::{ErrorDetail, Failure},
    ports::GuestTransaction,
    state::{Activity, OpenStep},
};
use wasaga_store::commit::{Transition, Verdict};

use super::{Actor, Event, Pending};
use crate::{
    decide::{self, Decision, Finished},
    driver::{
        committer::{self, Outcome},
        held::{Busy, Held},
        starts,
    },
};

impl Actor {
    /// Sends what has gathered to the database, as far as committers are free.
    pub(super) fn flush(&mut self) {
        let Some(host) = self.host else { return };
        while !self.starts.is_empty() && self.starting == 0 && self.held.len() < self.options.held {
            let rest = self.starts.split_off(self.starts.len().min(self.options.batch));
            let starts = mem::replace(&mut self.starts, rest);
            self.starting += 1;
            let (store, events) = (self.parts.store.clone(), self.events.clone());
            let now = self.parts.clock.now();
            tokio::spawn(async move {
                let new = starts::insert(&store, host, starts, now).await;
                let _ = events.send(Event::Inserted(host, new));
            });
        }
        while !self.queue.is_empty() && self.committing < self.options.committers {
            let next = self.queue.iter().map(|(_, transition)| transition);
            let rest = self.queue.split_off(committer::fitting(next.take(self.options.batch)));
            let (pending, transitions): (Vec<_>, Vec<_>) =
                mem::replace(&mut self.queue, rest).into_iter().unzip();
            histogram!("wasaga_commit_batch_size").record(transitions.len() as f64);
            self.committing += 1;
            let (store, events) = (self.parts.store.clone(), self.events.clone());
            tokio::spawn(async move {
                let outcomes = committer::commit(&store, host, transitions).await;
                let outcomes = pending.into_iter().zip(outcomes.into_iter().map(Some));
                let _ = events.send(Event::Committed(host, outcomes.collect()));
            });
        }
        gauge!("wasaga_sagas_held").set(self.held.len() as f64);
    }

    pub(super) fn commit_guest(
        &mut self,
        pending: Pending,
        transition: Transition,
        guest: Box<dyn GuestTransaction>,
    ) {
        let Some(host) = self.host else { return };
        self.guests_committing += 1;
        let (store, events) = (self.parts.store.clone(), self.events.clone());
        tokio::spawn(async move {
            let outcome = committer::commit_guest(&store, host, transition, guest).await;
            let _ = events.send(Event::Committed(host, vec![(pending, outcome)]));
        });
    }

    pub(super) fn committed(&mut self, host: HostId, pending: Pending, outcome: Option<Outcome>) {
        let Pending { saga, life, decision, finished, guest, settles, due } = pending;
        let current = self.host == Some(host);
        let Some(held) = self.held.get_mut(&saga).filter(|held| current && held.life == life)
        else {
            return;
        };
        held.busy = Busy::No;
        match outcome {
            Some(Outcome::Verdict(Verdict::Committed { mail })) => {
                count(held, &decision);
                let published = held.facts.definition.lifecycle_topic.is_some();
                if published || decision.effects.iter().any(|(_, effect)| effect.is_message()) {
                    self.parts.outbox.notify_one();
                }
                let is_over = decision.state.is_over();
                let reaches_others = !decision.cancels.is_empty()
                    || decision.effects.iter().any(|(_, effect)| !effect.is_message())
                    || (held.facts.child && is_over);
                held.committed(decision);
                // More may have been posted since, and told here before this.
                held.mail = held.mail.max(mail);
                if settles && mail == held.state.mail_seen {
                    self.held.remove(&saga);
                    self.note_due(due);
                    if let Some(ends) = self.parts.ends.as_ref().filter(|_| is_over) {
                        // Whoever wanted to know may be gone.
                        let _ = ends.send(saga);
                    }
                } else {
                    self.go_on(saga);
                }
                if reaches_others {
                    self.parts.sagas.notify_one();
                }
            }
            Some(Outcome::Verdict(Verdict::Mail { mail })) => {
                held.mail = mail;
                // Without its guest's own SQL an attempt's end is worth nothing: the guest is called again. But what it did
                // elsewhere it has done.
                let overtaken = || {
                    let what = "mail came before its SQL was committed, which is rolled back";
                    Err(Failure::Unknown(ErrorDetail::new("overtaken", what)))
                };
                let finished = match finished {
                    Some(finished) if guest && finished.reached_out => {
                        Some(Finished { outcome: overtaken(), wrote: false, ..finished })
                    }
                    finished => finished.filter(|_| !guest),
                };
                if let Some(finished) = finished {
                    held.finished.push_front((finished, None));
                }
                self.go_on(saga);
            }
            Some(Outcome::Verdict(Verdict::Lost)) => {
                warn!(%saga, epoch = held.epoch, "a lost lease: the transition is dropped");
                counter!("wasaga_leases_lost_total").increment(1);
                let lease = (saga, held.epoch);
                self.held.remove(&saga);
                self.release(vec![lease]);
            }
            Some(Outcome::Refused(reason)) => self.refused(saga, finished, reason),
            None => self.go_on(saga),
        }
    }

    /// The database will never take what an attempt returned: the attempt failed.
    fn refused(&mut self, saga: SagaId, finished: Option<Finished>, reason: String) {
        warn!(%saga, reason, "a guest's data was refused: its attempt fails");
        let Some(held) = self.held.get(&saga) else { return };
        let Some(finished) = finished else {
            error!(%saga, "a transition without a guest's data was refused: left to the next claim");
            self.held.remove(&saga);
            return;
        };
        let why = ErrorDetail::new("bad-data", reason.replace('\0', "\u{fffd}"));
        // What was sent before a wait may have been done, whatever the guest made of the answer.
        let resumed = |open: &OpenStep| {
            open.step == finished.step && matches!(open.activity, Activity::Resume(_))
        };
        let in_doubt = finished.reached_out || held.state.open.iter().any(resumed);
        let outcome = Err(if in_doubt {
            Failure::Unknown(why)
        } else {
            Failure::Retryable { detail: why, after: None }
        });
        self.apply(saga, decide::Event::Finished(Finished { outcome, ..finished }), None);
    }
}

/// Counts what a committed decision tells.
fn count(held: &Held, decision: &Decision) {
    let definition = &held.facts.definition;
    for step in &decision.insists {
        let step = &definition.steps[usize::from(*step)].name;
        warn!(saga = %held.facts.id, %step, "past the pivot: tried again beyond the policy's last attempt");
        let (saga, step) = (definition.name.to_string(), step.to_string());
        counter!("wasaga_steps_insisted_total", "definition" => saga, "step" => step).increment(1);
    }
    for entry in &decision.entries {
        let name = match (entry.kind, entry.direction) {
            (EntryKind::Succeeded, Direction::Forward) => "step_completed_total",
            (EntryKind::Failed, Direction::Forward) => "step_failed_total",
            (EntryKind::Completed, _) => "saga_completed_total",
            (EntryKind::Compensated, _) => "saga_compensated_total",
            (EntryKind::SagaFailed, _) => "saga_failed_total",
            (EntryKind::NeedsAttention, _) => "saga_needs_attention_total",
            _ => continue,
        };
        let saga = definition.name.to_string();
        match entry.step.map(|step| definition.steps[usize::from(step)].name.to_string()) {
            None => counter!(name, "definition" => saga).increment(1),
            Some(step) => {
                counter!(name, "definition" => saga.clone(), "step" => step.clone()).increment(1);
                let took = entry.at.since(entry.started_at).as_secs_f64();
                histogram!("step_duration_seconds", "definition" => saga, "step" => step)
                    .record(took);
            }
        }
    }
}
