//! What every end-to-end test checks at its end: the promises of docs/ARCHITECTURE.md, each as a query for the rows
//! that break it.
//!
//! To add one: a row in [`sagas::PROMISES`], or in [`books::PROMISES`] where it is about the order plugins' tables, and
//! how to break it in `tests/end_to_end/checker.rs`.

mod books;
mod sagas;

use std::{collections::HashSet, sync::PoisonError};

use crate::{PATIENCE, World, eventually};

/// A promise, and the query for what breaks it.
pub(crate) type Promise = (&'static str, &'static str);

/// The condition under which a row of `wasaga.sagas` is final.
pub(crate) const ENDED: &str = "status in ('completed', 'compensated', 'failed')";

/// Waits until nothing is under way any more, and panics with every broken promise by its name.
pub async fn promises(world: &World) {
    promises_with(world, 0).await;
}

/// The same where so many in tasks must have been given up.
pub async fn promises_with(world: &World, dead_letters: usize) {
    eventually("all work is done", PATIENCE, async || {
        (world.number(&sagas::under_way()).await == 0).then_some(())
    })
    .await;
    let broken = broken(world, dead_letters).await;
    assert!(broken.is_empty(), "broken promises:\n{}", broken.join("\n"));
}

/// Every broken promise: its name, and what breaks it.
pub async fn broken(world: &World, dead_letters: usize) -> Vec<String> {
    let mut broken = Vec::new();
    for (promise, query) in sagas::PROMISES.iter().chain(books::promises(world).await) {
        let rows = world.rows(query).await;
        broken.extend(rows.iter().map(|row| format!("{promise}: {row}")));
    }
    let lost = lost(world).await;
    broken.extend(lost.iter().map(|saga| format!("a saga that was accepted ends: {saga}")));
    let dead = world.rows("select task_id, topic, reason from wasaga.dead_letter_in").await;
    if dead.len() != dead_letters {
        broken.push(format!("{dead_letters} in tasks are given up: {dead:?}"));
    }
    broken
}

/// Accepted sagas that have not ended, or are not there.
async fn lost(world: &World) -> Vec<String> {
    let ended = format!("select id::text from wasaga.sagas where {ENDED}");
    let ended: HashSet<_> = world.texts(&ended).await.into_iter().collect();
    let accepted = world.accepted.lock().unwrap_or_else(PoisonError::into_inner);
    accepted.iter().filter(|saga| !ended.contains(*saga)).cloned().collect()
}
