//! What every end-to-end test checks at its end: the promises of docs/ARCHITECTURE.md, each as a query for the rows
//! that break it.
//!
//! To add one: a row in [`sagas::PROMISES`], or in [`books::PROMISES`] where it is about the order plugins' tables.

mod books;
mod sagas;

use std::{collections::HashSet, sync::PoisonError};

use crate::{PATIENCE, World, eventually};

/// A promise, and the query for what breaks it.
pub(crate) type Promise = (&'static str, &'static str);

/// Waits until nothing is under way any more, and panics with every broken promise by its name.
pub async fn promises(world: &World) {
    promises_with(world, 0).await;
}

/// The same where so many in tasks must have been given up.
pub async fn promises_with(world: &World, dead_letters: usize) {
    eventually("all work is done", PATIENCE, async || {
        let open = world.number(&sagas::under_way()).await;
        (open == 0).then_some(())
    })
    .await;
    let mut broken = Vec::new();
    for (promise, query) in sagas::PROMISES.iter().chain(books::promises(world).await) {
        let rows = world.rows(query).await;
        broken.extend(rows.iter().map(|row| format!("{promise}: {row}")));
    }
    broken.extend(
        lost(world)
            .await
            .iter()
            .map(|saga| format!("what is accepted ends: {saga}")),
    );
    let dead = world
        .rows("select task_id, topic, reason from wasaga.dead_letter_in")
        .await;
    if dead.len() != dead_letters {
        broken.push(format!(
            "{dead_letters} in tasks were to be given up: {dead:?}"
        ));
    }
    assert!(broken.is_empty(), "broken promises:\n{}", broken.join("\n"));
}

/// The condition under which a row of `wasaga.sagas` is final.
pub(crate) fn promises_ended() -> &'static str {
    "status in ('completed', 'compensated', 'failed')"
}

/// Accepted sagas that have not ended, or are not there.
async fn lost(world: &World) -> Vec<String> {
    let query = format!("select id from wasaga.sagas where {}", promises_ended());
    let ended = world.rows(&query).await;
    let accepted = world
        .accepted
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let ended: HashSet<_> = ended
        .iter()
        .filter_map(|row| row["id"].as_str().map(str::to_owned))
        .collect();
    accepted
        .iter()
        .filter(|saga| !ended.contains(*saga))
        .cloned()
        .collect()
}
