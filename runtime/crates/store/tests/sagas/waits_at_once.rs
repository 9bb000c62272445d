//! A commit and a delivery at the same time, in both orders: no wake-up is lost, and nobody waits for ever.

use std::sync::Arc;

use sqlx::{Connection, Executor};
use tokio::sync::Barrier;
use wasaga_store::{StoreError, commit::Verdict};

use crate::stage::{Stage, deliver, ending, waiting};

const AWAKE: &str = "select count(*) from wasaga.sagas
    where mail = 1 and (host_id is null) = (ready_at is not null)";

fn key() -> [String; 1] {
    ["a".into()]
}

#[tokio::test]
async fn the_wait_is_written_and_then_the_message_comes() {
    let stage = Stage::new().await;
    let saga = stage.saga().await;
    // The commit's last write waits for this row: the wait is written by then, and not committed.
    let mut holder = stage.connect().await;
    let mut held = holder.begin().await.unwrap();
    let timer = "insert into wasaga.timers select id, now() from wasaga.sagas";
    held.execute(timer).await.unwrap();
    let mut courier = stage.connect().await;
    let park = waiting(saga, "a");
    let commit = async { stage.commit(&park).await.unwrap() };
    let reply = async {
        stage.until_blocked(1).await;
        deliver(&mut courier, &key()).await
    };
    let release = async {
        stage.until_blocked(2).await;
        held.rollback().await.unwrap();
    };
    let (verdict, delivered, ()) = tokio::join!(commit, reply, release);
    assert_eq!(verdict, Verdict::Committed { mail: 0 });
    assert!(matches!(delivered, Err(StoreError::Conflict(_))), "{delivered:?}");
    assert_eq!(deliver(&mut courier, &key()).await.unwrap(), [saga.0], "and so it is tried again");
    assert_eq!(stage.number(AWAKE).await, 1);
}

#[tokio::test]
async fn the_message_is_written_and_then_the_wait_comes() {
    for committed in [true, false] {
        let stage = Stage::new().await;
        let saga = stage.saga().await;
        let mut courier = stage.connect().await;
        let mut delivery = courier.begin().await.unwrap();
        deliver(&mut delivery, &key()).await.unwrap();
        let park = waiting(saga, "a");
        let release = async {
            stage.until_blocked(1).await;
            if committed { delivery.commit().await } else { delivery.rollback().await }
        };
        let (verdict, released) = tokio::join!(stage.commit(&park), release);
        released.unwrap();
        let mail = i64::from(committed);
        assert_eq!(verdict.unwrap(), Verdict::Committed { mail });
        assert_eq!(stage.number(AWAKE).await, mail);
    }
}

#[tokio::test]
async fn the_message_for_a_leased_saga_is_written_and_then_it_wants_to_park() {
    let stage = Stage::new().await;
    let saga = stage.parked("a").await;
    // It is taken up because its time has come.
    let mut courier = stage.connect().await;
    courier.execute("update wasaga.timers set due_at = now()").await.unwrap();
    let epoch = stage.store().sagas_claim_due(stage.host, 1).await.unwrap()[0].epoch;
    let mut delivery = courier.begin().await.unwrap();
    deliver(&mut delivery, &key()).await.unwrap();
    let mut end = ending(saga);
    (end.epoch, end.sequence, end.clears) = (epoch, 1, true);
    let release = async {
        stage.until_blocked(1).await;
        delivery.commit().await.unwrap();
    };
    let (verdict, ()) = tokio::join!(stage.commit(&end), release);
    assert_eq!(verdict.unwrap(), Verdict::Mail { mail: 1 });
    assert_eq!(stage.number("select count(*) from wasaga.journal").await, 1);
}

#[tokio::test]
async fn the_saga_ends_and_then_the_message_comes() {
    let stage = Stage::new().await;
    let saga = stage.parked("a").await;
    let mut courier = stage.connect().await;
    courier.execute("update wasaga.timers set due_at = now()").await.unwrap();
    let epoch = stage.store().sagas_claim_due(stage.host, 1).await.unwrap()[0].epoch;
    let mut end = ending(saga);
    (end.epoch, end.sequence, end.clears) = (epoch, 1, true);
    // The saga's row is held until both want it, the commit first.
    let mut holder = stage.connect().await;
    let mut held = holder.begin().await.unwrap();
    held.execute("select from wasaga.sagas for no key update").await.unwrap();
    let commit = async { stage.commit(&end).await.unwrap() };
    let reply = async {
        stage.until_blocked(1).await;
        deliver(&mut courier, &key()).await.unwrap()
    };
    let release = async {
        stage.until_blocked(2).await;
        held.rollback().await.unwrap();
    };
    let (verdict, woken, ()) = tokio::join!(commit, reply, release);
    assert_eq!(verdict, Verdict::Committed { mail: 0 });
    assert!(woken.is_empty(), "nobody waits any more");
}

/// Batches of waits and batches of their messages, each in an order of its own, all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_pairs_at_once() {
    const ROUNDS: usize = 25;
    const BATCH: usize = 16;
    let stage = Arc::new(Stage::new().await);
    let sagas = stage.sagas(ROUNDS * BATCH).await;
    let mut pairs = Vec::new();
    for (round, batch) in sagas.chunks(BATCH).enumerate() {
        let keys: Vec<_> = (0..BATCH).map(|n| format!("{round}/{}", n * 7 % BATCH)).collect();
        let transitions: Vec<_> =
            batch.iter().zip(&keys).map(|(saga, key)| waiting(*saga, key)).collect();
        let barrier = Arc::new(Barrier::new(2));
        let commit = {
            let (stage, barrier) = (Arc::clone(&stage), Arc::clone(&barrier));
            async move {
                barrier.wait().await;
                stage.store().sagas_commit(stage.host, &transitions).await.unwrap()
            }
        };
        let replies = {
            let stage = Arc::clone(&stage);
            async move {
                let mut courier = stage.connect().await;
                barrier.wait().await;
                let mut again = 0;
                while let Err(error) = deliver(&mut courier, &keys).await {
                    let retried = error.to_string();
                    assert!(retried.contains("registered meanwhile"), "{retried}");
                    again += 1;
                }
                again
            }
        };
        pairs.push((tokio::spawn(commit), tokio::spawn(replies)));
        // A few at once, so that they overlap and the server's connections suffice.
        if round % 8 == 7 {
            for (commit, replies) in pairs.drain(..) {
                assert!(
                    commit.await.unwrap().iter().all(|v| matches!(v, Verdict::Committed { .. }))
                );
                replies.await.unwrap();
            }
        }
    }
    for (commit, replies) in pairs {
        commit.await.unwrap();
        replies.await.unwrap();
    }
    assert_eq!(stage.number(AWAKE).await, (ROUNDS * BATCH) as i64);
    let left = "select (select count(*) from wasaga.waits)
        + (select count(*) from wasaga.mail) - (select count(*) from wasaga.sagas)";
    assert_eq!(stage.number(left).await, 0);
}
