//! One key's records are handled in their order, also when the earlier ones are committed late.

use std::time::Duration;

use wasaga_store::{
    task_in_insert::{Move, NewTaskIn},
    testing_sql::Session,
};

use super::{Host, World, limits::Gate};

/// More than is looked at before the first of them are done.
const OTHERS: usize = 4000;

#[tokio::test]
async fn a_record_that_was_stored_late_is_handled_before_the_next_of_its_key() {
    let world = World::new().await;
    let late = "begin;
        insert into wasaga.next_offsets (cluster, topic, partition, next) values ('cluster', 'commands', 1, 1);
        insert into wasaga.task_in (lane, cluster, topic, partition, \"offset\", key, value)
            values (3, 'cluster', 'commands', 1, 0, 'k', 'late')";
    let mut held = Session::open(world.url()).await;
    held.run(late).await;
    // It does not look by itself in this time: only when it has used up most of what a look has found.
    let host = Host::start_with(world.store(), |options| {
        options.poll = Duration::from_mins(1);
        options.r#in.concurrency = 64;
    })
    .await;
    let gate = Gate::closed();
    *host.plugin.gate.lock().unwrap() = Some(gate.clone());
    let others = format!(
        "insert into wasaga.task_in (lane, cluster, topic, partition, \"offset\", key, value)
         select n % 16, 'cluster', 'commands', 0, n, n::text::bytea, 'other' from generate_series(1, {OTHERS}) n"
    );
    world.run(&others).await;
    host.stored.notify_one();
    host.plugin.called("other", 1).await;

    held.run("commit").await;
    let next = Move { topic: "commands".into(), partition: 1, expected: Some(1), next: 2 };
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
    let inserted = world.store().task_in_insert("cluster", &[next], &[record]).await.unwrap();
    assert_eq!(inserted.made, [true]);
    gate.open(OTHERS + 2);
    host.plugin.called("next", 1).await;
    assert_eq!(host.plugin.offsets_of("k"), [0, 1]);
    host.stop().await;
}
