//! Hosts that lost the saga and do not know it: whatever they do, nothing of it is committed.

use wasaga_engine::decide::{Event, Finished, Now, decide};
use wasaga_store::commit::Verdict;

use super::{Host, Simulation, Written};
use crate::{
    outcomes::{done, payload},
    store::Store,
};

impl<S: Store> Simulation<S> {
    pub(super) async fn zombie_moves(&mut self) {
        let Some(mut zombie) = self.zombie.take() else { return };
        let before = self.store.memory().row();
        if self.store.memory().holds(zombie.id, zombie.held.epoch) {
            self.commits_in_time(&zombie).await;
        } else {
            match self.choices.of(4) {
                0 => self.commits_again(&zombie).await,
                1 => self.goes_on(&mut zombie).await,
                2 => {
                    self.saw("zombie", "releases");
                    self.store.release(zombie.id, zombie.held.epoch).await;
                }
                _ => self.claims(&zombie).await,
            }
            assert_eq!(self.store.memory().row(), before, "a zombie changes nothing");
        }
        self.zombie = Some(zombie);
    }

    /// Its time is up, and nobody has taken over yet: the lease is still its own, and its last commit may land.
    async fn commits_in_time(&mut self, zombie: &Host) {
        let Some(Written { transition, note, model }) = &zombie.last else { return };
        if self.choices.rarely(2) {
            self.saw("zombie", "is dead, and its lease is not taken yet");
            let verdict = self.store.commit(zombie.id, transition, note.as_deref()).await;
            if matches!(verdict, Verdict::Committed { .. }) {
                self.expected.lands(model.clone());
                if self.store.memory().is_free() {
                    self.expected.released();
                }
                self.expected.check(self.store.memory());
            }
        }
    }

    async fn commits_again(&mut self, zombie: &Host) {
        let Some(Written { transition, note, .. }) = &zombie.last else { return };
        let same = self.store.memory().sequence() == transition.sequence;
        self.saw(
            "zombie",
            if same { "commits in time, but for its lease" } else { "commits late" },
        );
        let verdict = self.store.commit(zombie.id, transition, note.as_deref()).await;
        assert_eq!(verdict, Verdict::Lost, "a zombie commits nothing");
    }

    /// It hears of a guest's end, or that something is due.
    async fn goes_on(&mut self, zombie: &mut Host) {
        let held = &mut zombie.held;
        let event = match zombie.calls.pop_first() {
            None => Event::Due,
            Some((step, _)) => {
                held.calling.remove(&step);
                let outcome = done(payload(0), None, Vec::new());
                let started_at = self.now;
                let (wrote, reached_out) = (false, false);
                Event::Finished(Finished {
                    step,
                    outcome,
                    digest: None,
                    started_at,
                    wrote,
                    reached_out,
                })
            }
        };
        let calling = held.under_way();
        let now = Now { at: self.now, chance: 0.0, calling: &calling };
        let Ok(decision) = decide(&self.definition, &held.state, event, now) else { return };
        let transition = held.transition(&decision, self.now, false);
        self.saw("zombie", "goes on");
        let verdict = self.store.commit(zombie.id, &transition, None).await;
        assert_eq!(verdict, Verdict::Lost, "a zombie commits nothing");
    }

    async fn claims(&mut self, zombie: &Host) {
        if !self.store.memory().lives(zombie.id) {
            self.saw("zombie", "claims");
            assert!(self.store.claim(zombie.id).await.is_none(), "a zombie claims nothing");
        }
    }
}
