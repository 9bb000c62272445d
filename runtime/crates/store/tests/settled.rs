//! What is settled of a flow on real Postgres: all that was taken before, but for what is still to appear.

use std::time::{Duration, Instant};

use wasaga_store::{
    lanes::Flow,
    settled::Settled,
    testing::{TestDatabase, database},
    testing_sql::Session,
};

const TABLES: [(Flow, &str); 3] = [
    (
        Flow::In,
        "insert into wasaga.task_in (lane, cluster, topic, partition, \"offset\") values (0, 'c', 't', 0, 0)",
    ),
    (
        Flow::DeadIn,
        "insert into wasaga.dead_letter_in (task_id, reason, attempts, cluster, topic, partition, \"offset\", headers)
             values (1, '{}', 1, 'c', 't', 0, 0, '[]')",
    ),
    (
        Flow::DeadOut,
        "insert into wasaga.dead_letter_out (task_id, reason, attempts, message_id, topic, headers)
             values (1, '{}', 1, gen_random_uuid(), 't', '[]')",
    ),
];

/// As it is after some looks.
async fn looked(db: &TestDatabase, flow: Flow, mut settled: Settled) -> Settled {
    for _ in 0..5 {
        settled = db.store.tasks_settled(flow, settled).await.expect("an answer");
    }
    settled
}

/// Waits until that much is settled, which takes more than one look.
async fn risen(db: &TestDatabase, flow: Flow, mut settled: Settled, to: i64) -> Settled {
    let until = Instant::now() + Duration::from_secs(20);
    while settled.up_to() < to {
        assert!(Instant::now() < until, "{settled:?} does not rise to {to}");
        settled = looked(db, flow, settled).await;
    }
    assert_eq!(settled.up_to(), to);
    settled
}

#[tokio::test]
async fn it_waits_for_those_who_have_written_and_for_nobody_else() {
    let db = database().await;
    let (mut held, mut idle) = (Session::open(&db.url).await, Session::open(&db.url).await);
    idle.run("begin; create table wasaga.elsewhere (n int); select * from wasaga.task_in").await;
    for (flow, insert) in TABLES {
        let settled = looked(&db, flow, Settled::default()).await;
        assert_eq!(settled.up_to(), 0, "{flow:?}: no id was taken yet");
        db.run(insert).await;
        let settled = risen(&db, flow, settled, 1).await;
        held.run(&format!("begin; {insert}")).await;
        db.run(&format!("{insert}; {insert}")).await;
        let settled = looked(&db, flow, settled).await;
        assert_eq!(settled.up_to(), 1, "{flow:?}: 2 is to appear");
        held.run("commit").await;
        risen(&db, flow, settled, 4).await;
    }
    idle.run("rollback").await;
}
