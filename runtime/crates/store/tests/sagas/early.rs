//! Messages that come before anybody waits for them: how long they are kept, and how many.

use sqlx::Executor;
use wasaga_store::{StoreError, commit::Verdict, task_in::Expired};

use crate::stage::{Stage, TOPIC, deliver, waiting};

const EARLY: &str = "select coalesce(sum(cardinality(arrived_keys)), 0)::bigint from wasaga.waits";

fn keys(key: &str, count: usize) -> Vec<String> {
    vec![key.into(); count]
}

fn expired(correlations: i64, messages: i64) -> Vec<Expired> {
    vec![Expired { topic: TOPIC.into(), correlations, messages }]
}

#[tokio::test]
async fn they_expire_with_the_first_of_their_key() {
    let stage = Stage::new().await;
    let mut courier = stage.connect().await;
    for at in ["infinity", "-infinity"] {
        deliver(&mut courier, &keys(at, 1)).await.unwrap();
    }
    courier.execute("update wasaga.waits set expires_at = correlation::timestamptz").await.unwrap();
    for at in ["infinity", "-infinity"] {
        deliver(&mut courier, &keys(at, 2)).await.unwrap();
    }
    let kept = "select count(*) from wasaga.waits
        where expires_at = correlation::timestamptz and cardinality(arrived_keys) = 3";
    assert_eq!(stage.number(kept).await, 2);
    assert_eq!(stage.store().early_replies_clean(10).await.unwrap(), expired(1, 3));
    assert_eq!(stage.store().early_replies_clean(10).await.unwrap(), []);
    assert_eq!(stage.number("select count(*) from wasaga.waits").await, 1);
}

#[tokio::test]
async fn no_more_than_the_limit_expire_at_once_the_oldest_first_and_no_wait_does() {
    let stage = Stage::new().await;
    stage.parked("waiting").await;
    let mut courier = stage.connect().await;
    for (key, count) in [("2", 2), ("1", 1), ("3", 3)] {
        deliver(&mut courier, &keys(key, count)).await.unwrap();
    }
    let past =
        "update wasaga.waits set expires_at = to_timestamp(correlation::int) where saga_id is null";
    courier.execute(past).await.unwrap();
    assert_eq!(stage.store().early_replies_clean(1).await.unwrap(), expired(1, 1));
    assert_eq!(stage.store().early_replies_clean(2).await.unwrap(), expired(2, 5));
    assert_eq!(
        stage.number("select count(*) from wasaga.waits where saga_id is not null").await,
        1
    );
}

#[tokio::test]
async fn a_key_keeps_no_more_than_64() {
    let stage = Stage::new().await;
    let mut courier = stage.connect().await;
    deliver(&mut courier, &keys("a", 64)).await.unwrap();
    let refused = deliver(&mut courier, &keys("a", 1)).await;
    let Err(StoreError::Data(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.to_string().contains("64 messages for a on topic replies are kept"), "{reason}");
    assert_eq!(stage.number(EARLY).await, 64);
    deliver(&mut courier, &keys("b", 1)).await.unwrap();
    // Whoever takes one makes room.
    let verdict = stage.commit(&waiting(stage.saga().await, "a")).await.unwrap();
    assert_eq!(verdict, Verdict::Committed { mail: 1 });
    deliver(&mut courier, &keys("a", 1)).await.unwrap();
    assert_eq!(stage.number(EARLY).await, 65);
}
