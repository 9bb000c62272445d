//! What the leader makes of the broker's reports and of what its jobs came to.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use wasaga_store::{
    StoreError,
    task_out::{Backlog, Leased, TaskOut},
    task_out_floor::Floor,
};

use super::{
    jobs::{FLOOR_EVERY, FORGET_EVERY, Job},
    leader::Leader,
    producer::Report,
    verdict::{Failure, Verdict},
};

/// An age of the oldest message that is worth a warning, and how often.
const BEHIND: Duration = Duration::from_secs(30);
const TELL_EVERY: Duration = Duration::from_mins(1);

impl Leader<'_> {
    pub(super) fn take_reports(&mut self, reports: &mut Vec<Report>) {
        let now = Instant::now().into_std();
        let mut published = 0;
        for (id, failure) in reports.drain(..) {
            match failure {
                None => {
                    published += 1;
                    self.book.acknowledged(id, now);
                }
                Some(failure) => self.take_failure(id, failure),
            }
        }
        metrics::counter!("wasaga_outbox_published_total").increment(published);
    }

    pub(super) fn take_failure(&mut self, id: i64, failure: Failure) {
        let now = Instant::now().into_std();
        let Failure { verdict, reason } = failure;
        metrics::counter!("wasaga_outbox_failures_total").increment(1);
        match verdict {
            Verdict::Again | Verdict::NewProducer => {
                self.producer_broken |= verdict == Verdict::NewProducer;
                tracing::debug!(task_out = id, %reason, "relay: again");
                if let Some(until) = self.book.failed(id, now) {
                    self.next_read = self.next_read.min(until.into());
                }
            }
            Verdict::Refused => {
                let Some((is_last, until)) = self.book.refused(id, now) else {
                    return;
                };
                self.next_read = self.next_read.min(until.into());
                if is_last {
                    self.give_up(id, reason);
                } else {
                    tracing::debug!(task_out = id, %reason, "relay: refused");
                    self.decide(id, reason, false);
                }
            }
            Verdict::Never => self.give_up(id, reason),
        }
    }

    fn give_up(&mut self, id: i64, reason: Value) {
        tracing::warn!(task_out = id, %reason, "relay: given up");
        metrics::counter!("wasaga_outbox_given_up_total").increment(1);
        self.decide(id, reason, true);
    }

    /// Takes up what a job came to; false when the lane is lost.
    pub(super) fn take(&mut self, job: Job) -> bool {
        let now = Instant::now();
        match job {
            Job::Read(read) => return self.take_read(read),
            Job::Marked(ids, held) => {
                self.marks -= 1;
                self.book.marked(&ids);
                return held == Leased::Held(());
            }
            Job::Decided { id, last, held } => {
                self.deciding.remove(&id);
                if last {
                    self.book.given_up(id, now.into_std());
                    // Its rollback message.
                    self.next_read = now;
                } else {
                    self.book.counted(id);
                }
                return held == Leased::Held(());
            }
            Job::Floor(Ok(floor)) => self.floor = floor,
            Job::Floor(Err(error)) => tracing::debug!(%error, "relay: the floor is unknown"),
            Job::Backlog(Ok(backlog)) => self.tell(backlog),
            Job::Backlog(Err(error)) => tracing::debug!(%error, "relay: the backlog is unknown"),
            Job::Forgot => self.next_forget = Some(now + FORGET_EVERY),
        }
        true
    }

    fn tell(&mut self, Backlog { waiting, oldest_seconds }: Backlog) {
        metrics::gauge!("wasaga_outbox_unpublished").set(waiting as f64);
        metrics::gauge!("wasaga_outbox_oldest_seconds").set(oldest_seconds);
        if oldest_seconds < BEHIND.as_secs_f64() {
            if self.behind_told.take().is_some() {
                tracing::info!(waiting, "relay: the outbox has caught up");
            }
        } else if self.behind_told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            self.behind_told = Some(Instant::now());
            let oldest_seconds = oldest_seconds as i64;
            tracing::warn!(waiting, oldest_seconds, "relay: the outbox is behind");
        }
    }

    fn take_read(&mut self, read: Result<Leased<Vec<TaskOut>>, StoreError>) -> bool {
        self.reading = false;
        let now = Instant::now();
        match read {
            Ok(Leased::Lost) => return false,
            Ok(Leased::Held(rows)) => {
                let (brought, before) = (rows.len(), self.book.bytes());
                self.book.read(rows, now.into_std());
                let full = brought >= self.read_limit
                    || self.book.bytes() - before >= self.options.max_bytes / 2;
                if brought > 0 {
                    self.next_floor.get_or_insert(now + FLOOR_EVERY);
                    self.pace.came(now);
                }
                let next = if full { now } else { now + self.pace.pause(now) };
                // Somebody may have asked for an earlier one meanwhile.
                let asked = self.next_read > self.last_read;
                self.next_read = if asked { self.next_read.min(next) } else { next };
            }
            Err(error) => {
                tracing::warn!(%error, "relay: the outbox can't be read");
                self.book.read(Vec::new(), now.into_std());
                self.next_read = now + self.options.sweep;
                // Whoever answers next may be a standby that is behind.
                self.floor = Floor::default();
                self.next_bottom = now;
            }
        }
        true
    }
}
