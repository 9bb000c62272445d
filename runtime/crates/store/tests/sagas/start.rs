//! A start is one insert, and idempotent within a batch and across batches.

use bytes::Bytes;
use sqlx::Connection;
use wasaga_domain::{payload::Payload, state::Status};
use wasaga_store::{StoreError, saga_start::Started};

use crate::stage::{Stage, ending, new_saga};

fn existing(status: Status, same_input: bool) -> Started {
    Started::Existing { status, same_input }
}

#[tokio::test]
async fn the_second_of_two_in_a_batch_is_answered_with_the_first() {
    let stage = Stage::new().await;
    let mut other = new_saga("1");
    other.input = Payload::json("2");
    let batch = [new_saga("1"), new_saga("1"), new_saga("2"), other];
    let started = stage.store().sagas_start(stage.host, &batch).await.unwrap();
    let again = existing(Status::Pending, true);
    let conflict = existing(Status::Pending, false);
    assert_eq!(started, [Started::New, again, Started::New, conflict]);
}

#[tokio::test]
async fn a_start_of_a_saga_that_ended_is_answered_with_its_status() {
    let stage = Stage::new().await;
    let saga = stage.saga().await;
    stage.commit(&ending(saga)).await.unwrap();
    let started =
        stage.store().sagas_start(stage.host, &[new_saga("0"), new_saga("1")]).await.unwrap();
    assert_eq!(started, [existing(Status::Completed, true), Started::New]);
    assert_eq!(stage.number("select count(*) from wasaga.sagas").await, 2);
}

#[tokio::test]
async fn a_start_whose_answer_was_lost_is_new_again() {
    let stage = Stage::new().await;
    let saga = new_saga("1");
    for _ in 0..2 {
        let started = stage.store().sagas_start(stage.host, std::slice::from_ref(&saga)).await;
        assert_eq!(started.unwrap(), [Started::New]);
    }
}

#[tokio::test]
async fn two_batches_at_once_start_each_saga_once() {
    let stage = Stage::new().await;
    let keys: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    let forward: Vec<_> = keys.iter().map(|key| new_saga(key)).collect();
    let backward: Vec<_> = keys.iter().rev().map(|key| new_saga(key)).collect();
    // Both meet in the middle, in opposite orders: whoever inserts in the order given waits for the other for ever.
    let mut holder = stage.connect().await;
    let mut held = holder.begin().await.unwrap();
    sqlx::query(
        "insert into wasaga.sagas (id, definition, version, nonce, input_type, input, epoch, status, state)
         values ($1, '', 1, 0, '', '', 0, 'pending', '{}')",
    )
    .bind(forward[100].id.0)
    .execute(&mut *held)
    .await
    .unwrap();
    let release = async {
        stage.until_blocked(2).await;
        held.rollback().await.unwrap();
    };
    let (one, other, ()) = tokio::join!(
        stage.store().sagas_start(stage.host, &forward),
        stage.store().sagas_start(stage.host, &backward),
        release,
    );
    let all = one.unwrap().into_iter().chain(other.unwrap());
    assert_eq!(all.filter(|started| *started == Started::New).count(), 200);
}

#[tokio::test]
async fn an_input_may_be_any_bytes_and_a_text_may_hold_no_nul() {
    let stage = Stage::new().await;
    let mut bytes = new_saga("bytes");
    bytes.input = Payload::new("application/octet-stream".into(), Bytes::from_static(b"\0\xff"));
    let id = bytes.id;
    stage.store().sagas_start(stage.host, &[bytes]).await.unwrap();
    let stored = stage.store().saga_get(id).await.unwrap().unwrap();
    assert_eq!(stored.input.data, &b"\0\xff"[..]);
    assert_eq!((stored.version, stored.sequence, stored.status), (1, 0, Status::Pending));
    let mut nul = new_saga("nul");
    nul.traceparent = Some("a\0b".into());
    let refused = stage.store().sagas_start(stage.host, &[nul]).await;
    assert!(matches!(refused, Err(StoreError::Data(_))), "{refused:?}");
}
