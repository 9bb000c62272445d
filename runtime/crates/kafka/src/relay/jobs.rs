//! What the leader has Postgres do meanwhile. Writes are repeated until Postgres answers: what they say has happened.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    time::{Instant, sleep},
    try_join,
};
use wasaga_store::{
    StoreError,
    task_out::{Backlog, Leased, TaskOut},
    task_out_floor::Floor,
};

use super::leader::Leader;

const MARK_BATCH: usize = 4_000;
/// How long a published message may wait for others to be marked with.
const MARK_PACE: Duration = Duration::from_millis(20);
pub(super) const FLOOR_EVERY: Duration = Duration::from_millis(200);
/// How often a read begins below the floor: what somebody made wait again by hand is found so.
const BOTTOM_EVERY: Duration = Duration::from_mins(1);
const BACKLOG_EVERY: Duration = Duration::from_secs(5);
const BACKLOG_LIMIT: i64 = 100_000;
pub(super) const FORGET_EVERY: Duration = Duration::from_secs(10);
const FORGET_BATCH: i64 = 5_000;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a job came to.
pub(super) enum Job {
    Read(Result<Leased<Vec<TaskOut>>, StoreError>),
    Marked(Vec<i64>, Leased<()>),
    /// A refusal was stored, or with `last` the message's end.
    Decided {
        id: i64,
        last: bool,
        held: Leased<()>,
    },
    Floor(Result<Floor, StoreError>),
    Backlog(Result<Backlog, StoreError>),
    Forgot,
}

impl Leader<'_> {
    pub(super) fn start_read(&mut self) {
        let now = Instant::now();
        if self.next_read > now || !self.may_read() {
            return;
        }
        let mut excluded = self.book.start_read(now.into_std());
        if self.next_bottom <= now {
            self.next_bottom = now + BOTTOM_EVERY;
        } else {
            excluded.after = self.floor.after();
        }
        let (limit, bytes) = (self.room(), self.options.max_bytes / 2);
        (self.reading, self.read_limit, self.last_read, self.next_read) = (true, limit, now, now);
        let (store, host, lane) = (self.store.clone(), self.host, self.lane);
        self.jobs.spawn(async move {
            Job::Read(
                store.task_out_waiting(host, lane, &excluded, limit as i64, bytes as i64).await,
            )
        });
    }

    pub(super) fn start_mark(&mut self) {
        let now = Instant::now();
        if !self.may_mark() || (self.next_mark > now && self.book.published() < MARK_BATCH / 2) {
            return;
        }
        let ids = self.book.take_published(MARK_BATCH);
        self.marks += 1;
        self.next_mark = now + MARK_PACE;
        let (store, host, lane) = (self.store.clone(), self.host, self.lane);
        self.jobs.spawn(async move {
            let held = written("mark", || store.task_out_published(host, lane, &ids)).await;
            Job::Marked(ids, held)
        });
    }

    /// Stores that a message was refused, or with `last` gives it up.
    pub(super) fn decide(&mut self, id: i64, reason: Value, last: bool) {
        self.deciding.insert(id);
        let (store, host, lane) = (self.store.clone(), self.host, self.lane);
        self.jobs.spawn(async move {
            let (ids, reasons) = ([id], std::slice::from_ref(&reason));
            let held = if last {
                written("dead letter", || store.task_out_given_up(host, lane, id, &reason)).await
            } else {
                written("refusal", || store.task_out_refused(host, lane, &ids, reasons)).await
            };
            Job::Decided { id, last, held }
        });
    }

    /// The floor, metrics and retention.
    pub(super) fn start_chores(&mut self) {
        let now = Instant::now();
        if self.next_floor.is_some_and(|at| at <= now) {
            self.next_floor = None;
            let (store, floor) = (self.store.clone(), self.floor);
            self.jobs.spawn(async move { Job::Floor(store.task_out_floor(floor).await) });
        }
        if self.next_backlog <= now {
            self.next_backlog = now + BACKLOG_EVERY;
            let store = self.store.clone();
            self.jobs
                .spawn(async move { Job::Backlog(store.task_out_backlog(BACKLOG_LIMIT).await) });
        }
        if self.next_forget.is_some_and(|at| at <= now) {
            self.next_forget = None;
            let (store, retention) =
                (self.store.clone(), self.options.retention.as_millis() as i64);
            self.jobs.spawn(async move {
                loop {
                    let begun = Instant::now();
                    match try_join!(
                        store.task_out_forget(retention, FORGET_BATCH),
                        store.horizons_forget(FORGET_BATCH),
                    ) {
                        Ok((tasks, keys)) if tasks.max(keys) >= FORGET_BATCH as u64 => {}
                        Ok(_) => break,
                        Err(error) => {
                            tracing::warn!(%error, "relay: old messages can't be deleted");
                            break;
                        }
                    }
                    // Half of the time is left to those that publish.
                    sleep(begun.elapsed()).await;
                }
                Job::Forgot
            });
        }
    }
}

/// Repeats a write until Postgres answers.
async fn written<T, W>(what: &str, write: impl Fn() -> W) -> T
where
    W: Future<Output = Result<T, StoreError>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        match write().await {
            Ok(answer) => return answer,
            Err(error) => tracing::warn!(%error, "relay: a {what} can't be stored"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
