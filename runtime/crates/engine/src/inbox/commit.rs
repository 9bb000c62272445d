//! Commits of what attempts led to: in batches, bisected where data do not fit, and read again where it is not known
//! whether they happened.

use std::time::Duration;

use wasaga_domain::{
    ids::{HostId, TaskId},
    outcome::ErrorDetail,
    ports::GuestTransaction,
};
use wasaga_store::{
    Store, StoreError,
    lanes::Flow,
    task_in::{Reply, TaskEnd},
};

use super::board::Key;

/// Between attempts at a database that does not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// What became of an end.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is written.
    Committed,
    /// The lane is another's by now.
    Lost,
    /// Nothing is written, and the guest's own part is gone: the attempt has to be made again.
    Undone,
    /// The database will never take it.
    Refused(ErrorDetail),
}

/// An end to be written.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) key: Key,
    pub(super) end: TaskEnd,
}

/// A message to be delivered.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) key: Key,
    pub(super) reply: Reply,
}

/// Writes ends, however long the database takes to answer.
pub(super) async fn write_ends(
    store: &Store,
    host: HostId,
    ended: Vec<Ended>,
) -> Vec<(Ended, Fate)> {
    let mut fates = Vec::with_capacity(ended.len());
    let mut batches = vec![ended];
    while let Some(mut batch) = batches.pop() {
        let ends: Vec<TaskEnd> = batch.iter().map(|ended| ended.end.clone()).collect();
        match store.tasks_finish(host, &ends).await {
            Ok(written) => fates.extend(batch.into_iter().map(|ended| {
                let is_written = written.contains(&ended.end.id);
                (ended, if is_written { Fate::Committed } else { Fate::Lost })
            })),
            Err(StoreError::Data(error)) => {
                if let [_] = batch[..] {
                    fates.extend(batch.pop().map(|ended| (ended, refused(&error))));
                } else {
                    batches.push(batch.split_off(batch.len() / 2));
                    batches.push(batch);
                }
            }
            Err(error) => {
                pause(&error).await;
                if let StoreError::Connection(_) = error {
                    let is_written = written(store, &ends).await;
                    let (known, open) = batch.into_iter().partition(|e| is_written(&e.end));
                    let known: Vec<Ended> = known;
                    fates.extend(known.into_iter().map(|ended| (ended, Fate::Committed)));
                    batch = open;
                }
                // By halves: it may be what all of them carry together that breaks the connection.
                batches.push(batch.split_off(batch.len() / 2));
                batches.push(batch);
                batches.retain(|batch| !batch.is_empty());
            }
        }
    }
    fates
}

/// Writes an end with its guest's own SQL.
pub(super) async fn write_guest(
    store: &Store,
    host: HostId,
    end: &TaskEnd,
    guest: Box<dyn GuestTransaction>,
) -> Fate {
    match store.tasks_finish_guest(host, end, guest).await {
        Ok(true) => Fate::Committed,
        Ok(false) => Fate::Lost,
        Err(error @ StoreError::Connection(_)) => {
            pause(&error).await;
            let is_written = written(store, std::slice::from_ref(end)).await;
            if is_written(end) { Fate::Committed } else { Fate::Undone }
        }
        Err(error) => refused(&error),
    }
}

/// Delivers messages in order; answers also whether a saga was woken.
pub(super) async fn deliver(
    store: &Store,
    host: HostId,
    early_ttl: Duration,
    deliveries: Vec<Delivery>,
) -> (Vec<(Delivery, Fate)>, bool) {
    let (mut fates, mut woke) = (Vec::with_capacity(deliveries.len()), false);
    let mut batches = vec![deliveries];
    while let Some(mut batch) = batches.pop() {
        let replies: Vec<Reply> = batch.iter().map(|delivery| delivery.reply.clone()).collect();
        let all = |batch: Vec<Delivery>, fate: fn() -> Fate| {
            batch.into_iter().map(move |delivery| (delivery, fate()))
        };
        match store.replies_deliver(host, &replies, early_ttl).await {
            Ok(Some(woken)) => {
                woke |= !woken.is_empty();
                fates.extend(all(batch, || Fate::Committed));
            }
            // Whose lane it was is seen when the lanes are looked at next.
            Ok(None) => fates.extend(all(batch, || Fate::Undone)),
            Err(StoreError::Data(error)) => {
                if let [_] = batch[..] {
                    fates.extend(batch.pop().map(|delivery| (delivery, refused(&error))));
                } else {
                    batches.push(batch.split_off(batch.len() / 2));
                    batches.push(batch);
                }
            }
            // A wait was registered meanwhile: at once.
            Err(StoreError::Conflict(_)) => batches.push(batch),
            Err(error) => {
                pause(&error).await;
                if let StoreError::Connection(_) = error {
                    let ended =
                        ended(store, &replies.iter().map(|r| r.task).collect::<Vec<_>>()).await;
                    // One transaction: the first tells for all.
                    if replies.first().is_none_or(|first| ended(first.task)) {
                        woke = true;
                        fates.extend(all(batch, || Fate::Committed));
                        continue;
                    }
                }
                batches.push(batch.split_off(batch.len() / 2));
                batches.push(batch);
                batches.retain(|batch| !batch.is_empty());
            }
        }
    }
    (fates, woke)
}

/// Tells which ends are written already: a task that ended, or that counts the attempt.
async fn written(store: &Store, ends: &[TaskEnd]) -> impl Fn(&TaskEnd) -> bool + use<> {
    let ids: Vec<TaskId> = ends.iter().map(|end| end.id).collect();
    let flow = ends.first().map_or(Flow::In, |end| end.lane.flow);
    let positions = loop {
        match store.tasks_position(flow, &ids).await {
            Ok(positions) => break positions,
            Err(error) => pause(&error).await,
        }
    };
    move |end: &TaskEnd| {
        let position = positions.iter().find(|position| position.id == end.id);
        position.is_none_or(|position| position.ended || position.attempts >= end.attempts)
    }
}

async fn ended(store: &Store, ids: &[TaskId]) -> impl Fn(TaskId) -> bool + use<> {
    let positions = loop {
        match store.tasks_position(Flow::In, ids).await {
            Ok(positions) => break positions,
            Err(error) => pause(&error).await,
        }
    };
    move |id| {
        positions.iter().find(|position| position.id == id).is_none_or(|position| position.ended)
    }
}

async fn pause(error: &StoreError) {
    tracing::warn!(%error, "a commit of tasks is tried again");
    tokio::time::sleep(PAUSE).await;
}

fn refused(error: &impl std::fmt::Display) -> Fate {
    Fate::Refused(ErrorDetail::new("commit-refused", error.to_string()))
}
