//! Leases: taken by claims, kept an eye on by the audit, released.

use std::{cmp::Reverse, collections::HashSet, sync::Arc, time::Duration};

use rand::random;
use tokio::time::Instant;
use tracing::warn;
use wasaga_domain::{
    ids::{HostId, SagaId},
    state::Course,
};
use wasaga_store::StoreError;

use super::{Actor, Event};
use crate::{
    decide::{self, Now, decide},
    driver::claims::{self, Claims, Loaded, Reach},
};

/// Leases of this host that it does not hold in memory are looked for every so many sweeps.
const SWEEPS_PER_AUDIT: u32 = 10;

impl Actor {
    pub(super) fn sweep(&mut self) {
        self.claim(Reach::All);
        let long = self.options.sweep;
        self.look_for_mail(|held| held.waits() || held.since.elapsed() > long);
        self.sweeps += 1;
        if let Some(host) = self.host
            && self.sweeps.is_multiple_of(SWEEPS_PER_AUDIT)
        {
            let (store, events) = (self.parts.store.clone(), self.events.clone());
            tokio::spawn(async move {
                let leases = store.sagas_leased(host).await;
                let _ = events.send(Event::Leased(host, leases));
            });
        }
    }

    /// Near dues get a wake-up of their own; the sweep finds the others.
    pub(super) fn note_due(&mut self, due: Option<Duration>) {
        if let Some(due) = due.filter(|due| *due < 2 * self.options.sweep) {
            self.dues.push(Reverse((Instant::now() + due + Duration::from_millis(1), None)));
        }
    }

    pub(super) fn claim(&mut self, reach: Reach) {
        if self.claiming {
            self.claim_again = self.claim_again.max(Some(reach));
            return;
        }
        let room = self.options.held.saturating_sub(self.held.len()).min(self.options.batch);
        let Some(host) = self.host.filter(|_| self.stopping.is_none() && room > 0) else { return };
        self.claiming = true;
        let (store, events) = (self.parts.store.clone(), self.events.clone());
        let definitions = Arc::clone(&self.parts.definitions);
        tokio::spawn(async move {
            let claims = claims::claim(&store, &*definitions, host, room, reach).await;
            let _ = events.send(Event::Claimed(host, claims));
        });
    }

    pub(super) fn claimed(&mut self, host: HostId, claims: Result<Claims, StoreError>) {
        self.claiming = false;
        match claims {
            Err(error) => warn!(%error, "no claims"),
            Ok(claims) if self.host == Some(host) => {
                for Loaded { held, interruptions, mail } in claims.loaded {
                    let saga = self.hold(held);
                    self.take_up(saga, interruptions, mail);
                }
                if claims.more {
                    self.claim_again = Some(Reach::All);
                }
            }
            Ok(_) => {}
        }
        if let Some(reach) = self.claim_again.take() {
            self.claim(reach);
        }
    }

    /// What a claimed saga has missed: mail, or time that passed, and then the interruptions of what follows.
    fn take_up(&mut self, saga: SagaId, interruptions: u16, mail: Option<decide::Event>) {
        let Some(held) = self.held.get_mut(&saga) else { return };
        let now = Now { at: self.parts.clock.now(), chance: random(), calling: &[] };
        if held.state.course == Course::Unopened {
            let refusal = held.facts.definition.refusal(&held.facts.input);
            let opened = decide::Event::Opened { refusal };
            match decide(&held.facts.definition, &held.state, opened.clone(), now) {
                Ok(decision) if decision.entries.is_empty() => held.state = decision.state,
                _ => return self.apply(saga, opened, None),
            }
        }
        let missed = mail.unwrap_or(decide::Event::Due);
        match decide(&held.facts.definition, &held.state, missed.clone(), now) {
            Ok(decision) if decision.entries.is_empty() => held.state = decision.state,
            _ => return self.apply(saga, missed, None),
        }
        let definitions = &self.parts.definitions;
        let steps = held
            .facts
            .definition
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| interruptions > 0 && definitions.reaches_out(&step.worker));
        let reaching_out = steps.map(|(place, _)| place as u16).collect();
        self.apply(saga, decide::Event::Claimed { interruptions, reaching_out }, None);
    }

    /// Leases that the database has and the memory has not, twice in a row, were lost on their way here (a claim or a
    /// start whose answer never came): they are released.
    pub(super) fn audit(&mut self, host: HostId, leases: Result<Vec<(SagaId, i64)>, StoreError>) {
        let Ok(leases) = leases else { return };
        if self.host != Some(host) {
            return;
        }
        let strays: HashSet<_> = leases
            .into_iter()
            .filter(|(saga, epoch)| self.held.get(saga).is_none_or(|held| held.epoch != *epoch))
            .collect();
        let lost: Vec<_> = strays.intersection(&self.strays).copied().collect();
        if !lost.is_empty() {
            warn!(sagas = lost.len(), "leases without a saga in memory: released");
            self.release(lost);
        }
        self.strays = strays;
    }

    /// All leases ended, or are new: whatever is in memory is another's.
    pub(super) fn lose_all(&mut self, host: Option<HostId>) {
        if !self.held.is_empty() {
            warn!(
                sagas = self.held.len(),
                "the host's lease has ended: its sagas are left to others"
            );
        }
        self.held.clear();
        self.queue.clear();
        self.strays.clear();
        self.host = host;
        self.claim(Reach::All);
    }

    pub(super) fn release(&self, leases: Vec<(SagaId, i64)>) {
        let Some(host) = self.host else { return };
        let store = self.parts.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.sagas_release(host, &leases).await {
                warn!(%error, "leases could not be released: the audit will");
            }
        });
    }

    pub(super) async fn release_all(&mut self) {
        let Some(host) = self.host else { return };
        let leases: Vec<_> = self.held.values().map(|held| (held.facts.id, held.epoch)).collect();
        if leases.is_empty() {
            return;
        }
        if let Err(error) = self.parts.store.sagas_release(host, &leases).await {
            warn!(%error, sagas = leases.len(), "leases could not be released: they end with the host's");
        }
    }
}
