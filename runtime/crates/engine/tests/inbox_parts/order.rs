//! One key's records are handled in their order, also when the earlier one is committed late.

use std::time::Duration;

use wasaga_store::{
    task_in_insert::{Move, NewTaskIn},
    testing_sql::Session,
};

use super::{Host, World, limits::Gate};

/// The first record of the key, by another host whose transaction is open.
async fn stored_late(world: &World) -> Session {
    let mut late = Session::open(world.url()).await;
    late.run(
        "begin;
         insert into wasaga.next_offsets (cluster, topic, partition, next) values ('cluster', 'commands', 1, 1);
         insert into wasaga.task_in (lane, cluster, topic, partition, \"offset\", key, value)
             values (3, 'cluster', 'commands', 1, 0, 'k', 'late')",
    )
    .await;
    late
}

/// Records of another partition, with keys by `n`, from 1 on.
async fn others(world: &World, count: usize, key: &str) {
    world
        .run(&format!(
            "insert into wasaga.task_in (lane, cluster, topic, partition, \"offset\", key, value)
             select n % 16, 'cluster', 'commands', 0, n, {key}, 'other' from generate_series(1, {count}) n"
        ))
        .await;
}

/// The next record of the key.
async fn stored_next(world: &World) {
    let step = Move { topic: "commands".into(), partition: 1, expected: Some(1), next: 2 };
    let record = NewTaskIn {
        lane: 3,
        topic: "commands".into(),
        partition: 1,
        offset: 1,
        key: Some(b"k".to_vec()),
        headers: serde_json::json!([]),
        value: Some(b"next".to_vec()),
        message_id: None,
        produced_at: None,
        refused: None,
    };
    let inserted = world.store().task_in_insert("cluster", &[step], &[record]).await.unwrap();
    assert_eq!(inserted.made, [true]);
}

#[tokio::test]
async fn a_record_that_appears_between_two_looks_is_handled_before_the_next_of_its_key() {
    // More than is looked at before the first of them are done.
    const OTHERS: usize = 4000;
    let world = World::new().await;
    let mut late = stored_late(&world).await;
    // It does not look by itself in this time: only when it has used up most of what a look has found.
    let host = Host::start_with(world.store(), |options| {
        options.poll = Duration::from_mins(1);
        options.r#in.concurrency = 64;
    })
    .await;
    let gate = Gate::closed();
    *host.plugin.gate.lock().unwrap() = Some(gate.clone());
    others(&world, OTHERS, "n::text::bytea").await;
    host.stored.notify_one();
    host.plugin.called("other", 1).await;

    late.run("commit").await;
    stored_next(&world).await;
    gate.open(OTHERS + 2);
    host.plugin.called("next", 1).await;
    assert_eq!(host.plugin.offsets_of("k"), [0, 1]);
    host.stop().await;
}

#[tokio::test]
async fn a_record_that_appears_within_a_look_is_handled_before_the_next_of_its_key() {
    let world = World::new().await;
    let mut late = stored_late(&world).await;
    // One key, more than a statement finds first.
    others(&world, 1500, "'o'").await;
    // What a look reads after its first statement waits for whoever holds this lock.
    world
        .run(
            "alter function wasaga.task_in_find rename to task_in_find_now;
             create function wasaga.task_in_find(p_lanes smallint[], p_after bigint, p_limit bigint)
                 returns table (id bigint, lane smallint, topic text, \"partition\" integer, key bytea, attempts integer,
                     due_ms bigint)
                 language plpgsql volatile as $$
             begin
                 if p_after > 0 or p_limit > 1000 then perform pg_advisory_xact_lock_shared(1); end if;
                 return query select * from wasaga.task_in_find_now(p_lanes, p_after, p_limit);
             end $$",
        )
        .await;
    let mut lock = Session::open(world.url()).await;
    lock.run("select pg_advisory_lock(1)").await;
    let host = Host::start(&world).await;
    let waits = "select count(*) > 0 from pg_stat_activity
        where datname = current_database() and wait_event = 'advisory'";
    world.until(waits).await;

    late.run("commit").await;
    stored_next(&world).await;
    lock.run("select pg_advisory_unlock(1)").await;
    host.plugin.called("next", 1).await;
    assert_eq!(host.plugin.offsets_of("k"), [0, 1]);
    host.stop().await;
}
