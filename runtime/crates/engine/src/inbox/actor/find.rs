//! Looks for waiting tasks.

use std::time::{Duration, Instant};

use wasaga_store::{StoreError, lanes::Flow, task_out::Excluded};

use super::Actor;

/// Tasks that one statement finds; twice as many each time past what is settled, as that has to be seen in one.
const PAGE: usize = 1000;
/// With so many keys ready no more tasks are looked for; and never so many are known that memory is at stake.
const ENOUGH: usize = 1000;
const KNOWN: usize = 250_000;
/// How often to look for messages on their way out, which nobody announces.
const OUT_POLL: Duration = Duration::from_millis(50);
/// A look takes longer where much waits behind keys that are held: then it is less often, as most of the time is left to others.
const PAUSES: u32 = 4;

impl Actor {
    /// How long from one look to the next, unless there is more to be found.
    fn poll(&self) -> Duration {
        if self.flow == Flow::HandleOut && !self.topics.is_empty() {
            (self.took * PAUSES).clamp(OUT_POLL.min(self.options.poll), self.options.poll)
        } else {
            self.options.poll
        }
    }

    /// How long until the next look.
    pub(super) fn until_look(&self) -> Duration {
        self.poll().saturating_sub(self.looked.elapsed())
    }

    /// Whether to look again at once: there was more, and there is room by now.
    pub(super) fn wants_more(&self) -> bool {
        let has_room = self.flow != Flow::HandleOut || self.board.room() >= PAGE / 4;
        self.more && has_room && self.board.ready() < ENOUGH / 2
    }

    /// Takes up waiting tasks. Commits' reports wait meanwhile, so that a task which ends now is known still, and is
    /// not taken for a new one.
    pub(super) async fn find(&mut self) {
        let begun = Instant::now();
        let lanes = self.lanes.numbers();
        let found = if lanes.is_empty() || self.flow != Flow::In && self.topics.is_empty() {
            Ok(())
        } else if self.flow == Flow::HandleOut {
            self.find_out(&lanes).await
        } else {
            self.find_on(&lanes).await
        };
        if let Err(error) = found {
            tracing::warn!(%error, flow = self.flow.as_str(), "the inbox can't look for tasks");
        }
        self.looked = Instant::now();
        self.took = self.looked - begun;
    }

    /// Goes on where the last look ended.
    async fn find_on(&mut self, lanes: &[i16]) -> Result<(), StoreError> {
        let mut from = self.look.from(&self.parts.store, self.flow, self.more).await?;
        let mut limit = PAGE;
        self.more = true;
        while self.board.ready() < ENOUGH && self.board.len() < KNOWN {
            let store = &self.parts.store;
            let after = Excluded { after: from.0, ..Excluded::default() };
            let found =
                store.tasks_find(self.flow, lanes, &self.topics, &after, limit as i64).await?;
            let now = Instant::now();
            for task in &found {
                self.board.add(task, now);
            }
            let Some(last) = found.last().filter(|_| found.len() == limit) else {
                self.look.reached(None);
                self.more = false;
                break;
            };
            from = self.look.reached(Some(last.id));
            if from < last.id {
                limit *= 2;
            }
        }
        Ok(())
    }

    /// Looks at all messages on their way out that are not known.
    async fn find_out(&mut self, lanes: &[i16]) -> Result<(), StoreError> {
        self.more = true;
        let after = self.look_out.from(&self.parts.store, &self.topics).await?;
        while self.board.ready() < ENOUGH && self.board.room() > 0 {
            let (limit, excluded) = (self.board.room().min(PAGE), self.board.leave_out(after));
            let store = &self.parts.store;
            let found =
                store.tasks_find(self.flow, lanes, &self.topics, &excluded, limit as i64).await?;
            self.board.take_up(&found, Instant::now());
            if found.len() < limit {
                self.more = false;
                break;
            }
        }
        Ok(())
    }
}
