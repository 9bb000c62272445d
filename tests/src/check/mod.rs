//! What every end-to-end test checks at its end: the promises of docs/ARCHITECTURE.md, each as queries for the rows
//! that break it, over the journal, the outbox, the inbox, the streams, and the tables of the examples' plugins.
//!
//! A file holds the checks of a promise; `views.sql` what they read. The ninth promise is about a process that stops,
//! which leaves no trace: `graceful_stop` is its test. To add a check: a row in its promise's file, or in
//! [`books`] where it is about the tables of a plugin, and how to break it in `tests/end_to_end/checker.rs`.

mod books;
mod exact_undo;
mod no_zombies;
mod nothing_lost;
mod once;
mod one_commit;
mod order_by_key;
mod plugins;

use std::{collections::HashSet, sync::PoisonError};

use wasaga_store::testing_sql::Session;

use crate::{PATIENCE, World, eventually};

/// A check: its promise's number, what must hold, and the query for what breaks it.
pub(crate) type Check = (u8, &'static str, &'static str);

/// The promises, by their numbers from 1.
const PROMISES: [&str; 8] = [
    "one commit a step",
    "nothing accepted is lost",
    "effectively once inside, at least once outside",
    "undo is exact",
    "no zombie writes",
    "order by key",
    "guests are contained",
    "code swaps never strand a saga",
];

/// The checks that need no plugin's tables.
const CHECKS: [&[Check]; 7] = [
    &one_commit::CHECKS,
    &nothing_lost::CHECKS,
    &once::CHECKS,
    &exact_undo::CHECKS,
    &no_zombies::CHECKS,
    &order_by_key::CHECKS,
    &plugins::CHECKS,
];

/// The condition under which a row of `wasaga.sagas` is final.
pub(crate) const ENDED: &str = "status in ('completed', 'compensated', 'failed')";

/// Waits until nothing is under way any more, and panics with every broken promise by its name.
pub async fn promises(world: &World) {
    promises_with(world, 0).await;
}

/// The same where so many in tasks must have been given up.
pub async fn promises_with(world: &World, dead_letters: usize) {
    eventually("all work is done", PATIENCE, async || {
        (world.number(&nothing_lost::under_way()).await == 0).then_some(())
    })
    .await;
    let broken = broken(world, dead_letters).await;
    assert!(broken.is_empty(), "broken promises:\n{}", broken.join("\n"));
}

/// Every broken promise: its number and name, what does not hold, and what breaks it.
pub async fn broken(world: &World, dead_letters: usize) -> Vec<String> {
    broken_by(world, "", dead_letters).await
}

/// The same after these statements, which are taken back.
pub async fn broken_by(world: &World, sabotage: &str, dead_letters: usize) -> Vec<String> {
    let mut session = Session::open(&world.database.url).await;
    session.run("begin; set local session_replication_role = replica").await;
    session.run(sabotage).await;
    session.run(include_str!("views.sql")).await;
    let mut broken = Vec::new();
    let mut breaks = |promise: u8, check: &str, what: &str| {
        let name = PROMISES[usize::from(promise) - 1];
        broken.push(format!("promise {promise}, {name}: {check}: {what}"));
    };
    for (promise, check, query) in CHECKS.into_iter().chain(books::checks(world).await).flatten() {
        let rows = format!("select to_jsonb(broken)::text from ({query}) as broken");
        for row in session.texts(&rows).await.into_iter().flatten() {
            breaks(*promise, check, &row);
        }
    }
    for saga in lost(world, &mut session).await {
        breaks(2, "a saga that was accepted ends", &saga);
    }
    let dead = "select concat_ws(' ', task_id, topic, reason) from wasaga.dead_letter_in";
    let dead = session.texts(dead).await;
    if dead.len() != dead_letters {
        breaks(2, "only what must be is given up", &format!("not {dead_letters} but {dead:?}"));
    }
    broken
}

/// What is checked in this world, each by what it says.
pub async fn checks(world: &World) -> Vec<&'static str> {
    let all = CHECKS.into_iter().chain(books::checks(world).await).flatten();
    all.map(|(_, check, _)| *check).collect()
}

/// Accepted sagas that have not ended, or are not there.
async fn lost(world: &World, session: &mut Session) -> Vec<String> {
    let ended = format!("select id::text from wasaga.sagas where {ENDED}");
    let ended: HashSet<_> = session.texts(&ended).await.into_iter().flatten().collect();
    let accepted = world.accepted.lock().unwrap_or_else(PoisonError::into_inner);
    accepted.iter().filter(|saga| !ended.contains(*saga)).cloned().collect()
}
