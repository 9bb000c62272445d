//! The one commit, and what may happen to it.

use wasaga_domain::{
    outcome::Failure,
    state::{Activity, State},
};
use wasaga_engine::{
    decide::{Decision, Event, Finished},
    driver::fate,
};
use wasaga_store::commit::Verdict;

use super::{Simulation, Written};
use crate::{model::Model, outcomes::why, store::Store};

impl<S: Store> Simulation<S> {
    /// `finished`: the end of the attempt that was decided on.
    pub(super) async fn commit(
        &mut self,
        decision: Decision,
        model: Model,
        finished: Option<Finished>,
    ) {
        let note = self.note(finished.as_ref());
        let (now, host) = (self.now, self.host());
        let transition = host.held.transition(&decision, now, false);
        host.last = Some(Written { transition, note, model: model.clone() });
        self.outside().await;
        if self.choices.rarely(8) && !self.host().calls.is_empty() {
            self.saw("guests", "return during a commit");
            self.guest_returns().await;
        }
        if self.choices.rarely(24) {
            self.saw("host", "dies before a commit");
            return self.crash().await;
        }
        if let Some(finished) = &finished
            && self.choices.rarely(24)
        {
            return Box::pin(self.goes_wrong(finished)).await;
        }
        let Some(verdict) = self.write(&decision).await else { return };
        let settles = self.host().last.as_ref().is_some_and(|last| last.transition.settles);
        match verdict {
            Verdict::Committed { mail } => {
                let host = self.host();
                host.held.committed(decision);
                host.held.mail = host.held.mail.max(mail);
                host.model = model;
                if settles && mail == host.held.state.mail_seen {
                    self.zombie = self.host.take();
                }
            }
            Verdict::Mail { mail } => self.comes_first(mail, finished),
            // The lease was given up, and what it was given up with can't be told from what came before.
            Verdict::Lost => {
                let host = self.host.take().expect("a host holds it");
                self.store.release(host.id, host.held.epoch).await;
                self.zombie = Some(host);
            }
        }
    }

    /// What the guest wrote by SQL of its own.
    fn note(&mut self, finished: Option<&Finished>) -> Option<String> {
        let finished = finished.filter(|finished| finished.wrote)?;
        self.payloads += 1;
        Some(format!("step {} wrote {}", finished.step, self.payloads))
    }

    /// What the host hears of its commit; nothing, when it is lost with it, or begins anew.
    async fn write(&mut self, decision: &Decision) -> Option<Verdict> {
        let verdict = self.send(decision).await;
        let dies = self.choices.of(24);
        let parked = self.store.memory().is_free();
        match dies {
            23 if parked => {
                self.saw("host", "dies while it parks the saga");
                self.zombie = self.host.take();
                None
            }
            23 => {
                self.saw("host", "dies after a commit");
                self.crash().await;
                None
            }
            22 => self.answer_is_lost(decision, verdict).await,
            21 if !parked => {
                self.saw("host", "stops");
                self.release().await;
                None
            }
            _ => Some(verdict),
        }
    }

    /// The holder's commit lands, unless it would park the saga on mail that it has not seen.
    async fn send(&mut self, decision: &Decision) -> Verdict {
        let host = self.host.as_ref().expect("a host holds it");
        let (id, Written { transition, note, model }) =
            (host.id, host.last.clone().expect("it is new"));
        let before = self.store.memory().status();
        let posted = self.store.memory().mail_number();
        let verdict = self.store.commit(id, &transition, note.as_deref()).await;
        if transition.settles && posted != transition.seen {
            assert_eq!(verdict, Verdict::Mail { mail: posted }, "it parks on unseen mail");
            self.saw("mail", "comes before the saga parks");
            return verdict;
        }
        assert!(matches!(verdict, Verdict::Committed { .. }), "{verdict:?} for the lease's holder");
        if note.is_some() {
            self.saw("guests", "write");
        }
        match self.expected.lands(model) {
            0 => {}
            1 => self.saw("mail", "a reply is early"),
            _ => self.saw("mail", "replies are early"),
        }
        self.expected.check(self.store.memory());
        for entry in &decision.entries {
            self.count("entry", entry.kind.as_str());
        }
        for open in &decision.state.open {
            self.count("activity", name(&open.activity));
        }
        let after = self.store.memory().status();
        self.count("status", after.as_str());
        if before != after {
            self.coverage.moved(before, after);
        }
        self.check_status(&decision.state);
        verdict
    }

    fn check_status(&self, state: &State) {
        let memory = self.store.memory();
        assert_eq!(memory.state(), state, "what was decided is what is kept");
        let untouched = memory.sequence() == 0;
        let known = self.expected.model.view().status;
        let expected = match known {
            "running" | "waiting" if untouched => "pending",
            known => known,
        };
        assert_eq!(memory.status().as_str(), expected, "(store, model)");
    }

    /// The host asks what became of its commit, and repeats it where that did not land.
    async fn answer_is_lost(&mut self, decision: &Decision, verdict: Verdict) -> Option<Verdict> {
        self.saw("host", "does not hear of its commit");
        let position = self.store.position().await;
        let host = self.host();
        let id = host.id;
        let Written { transition, note, .. } = host.last.clone().expect("it was sent");
        let fate = fate(id, &transition, Some(position));
        let landed = matches!(verdict, Verdict::Committed { .. }) && !transition.entries.is_empty();
        let known = matches!(fate, Some(Verdict::Committed { .. }));
        assert_eq!(known, landed, "what became of a commit: {verdict:?}, taken for {fate:?}");
        if self.choices.rarely(2) && fate.is_some() {
            self.saw("host", "is heard twice");
            let before = self.store.memory().row();
            let again = self.store.commit(id, &transition, note.as_deref()).await;
            assert_eq!(again, Verdict::Lost, "a commit lands once");
            assert_eq!(self.store.memory().row(), before, "a commit lands once");
        }
        match fate {
            Some(fate) => Some(fate),
            // Its guest is called again.
            None if note.is_some() => None,
            None => Some(self.send(decision).await),
        }
    }

    /// Mail that the state has not taken in: nothing is committed, and the mail comes first.
    fn comes_first(&mut self, posted: i64, finished: Option<Finished>) {
        self.host().held.mail = posted;
        match finished {
            // Without its guest's own SQL an attempt's end is worth nothing: the guest is called again.
            Some(finished) if finished.wrote => self.saw("mail", "costs a guest its SQL"),
            Some(finished) => self.host().held.finished.push_front((finished, None)),
            None => {}
        }
    }

    /// The database refuses the guest's data, or the guest's own transaction is lost.
    async fn goes_wrong(&mut self, finished: &Finished) {
        self.host().last = None;
        if finished.wrote {
            self.saw("host", "loses a guest's commit");
            return;
        }
        self.saw("host", "is refused its data");
        let step = finished.step;
        let open = self.host().held.state.open.iter().find(|open| open.step == step);
        let resumed = open.is_some_and(|open| matches!(open.activity, Activity::Resume(_)));
        let detail = why("bad-data");
        let outcome = Err(if resumed {
            Failure::Unknown(detail)
        } else {
            Failure::Retryable { detail, after: None }
        });
        self.apply(Event::Finished(Finished { outcome, ..finished.clone() })).await;
    }
}

fn name(activity: &Activity) -> &'static str {
    match activity {
        Activity::Run => "run",
        Activity::Resume(_) => "resume",
        Activity::BackOff(_) => "back-off",
        Activity::PutOff { arrival: None, .. } => "put off",
        Activity::PutOff { arrival: Some(_), .. } => "put off with what came",
        Activity::Wait { .. } => "wait",
        Activity::Stuck => "stuck",
    }
}
