//! Messages that their sender publishes at once.

use std::time::Duration;

use tokio::time::timeout;
use wasaga_domain::message_search::{MessageFilter, TaskStatus};
use wasaga_store::{
    emit::{EmitError, NewMessage},
    publish_first::{First, Unpublished},
};

use crate::{Stage, forgets, message, on_both, values};

on_both!(
    what_was_published_is_kept_as_such,
    what_was_not_published_is_the_relays,
    a_message_queues_behind_those_of_its_key,
    a_message_without_key_queues_behind_none,
    a_dropped_one_was_never_emitted,
    one_that_hangs_keeps_no_others_waiting,
    another_under_its_idempotency_key_waits_for_its_end,
    a_key_that_is_known_is_not_published_again,
    what_cannot_be_sent_is_refused,
);

/// Longer than anything here takes.
const BOUND: Duration = Duration::from_secs(10);

async fn begin(stage: &Stage, message: NewMessage) -> First {
    stage.outbox.emit_first(&message).await.unwrap()
}

async fn publishable(stage: &Stage, message: NewMessage) -> Box<dyn Unpublished> {
    match begin(stage, message).await {
        First::Publish(unpublished) => unpublished,
        First::Stored(id) => panic!("{id} queues"),
        First::Known(id) => panic!("{id} is known"),
    }
}

async fn what_was_published_is_kept_as_such(stage: Stage) {
    let first = publishable(&stage, message("t", "k", "1")).await;
    let (id, message_id) = (first.task().id, first.task().message_id);
    assert_eq!(values(&[first.task().clone()]), ["1"]);
    first.published().await.unwrap();
    let found = stage.outbox.message(id).await.unwrap().unwrap().found;
    assert_eq!((found.status, found.message_id), (TaskStatus::Ready, message_id));
    assert!(found.finished_at.is_some());
    assert!(stage.relay().await.waiting().await.is_empty());
    // The next one of its key goes on.
    publishable(&stage, message("t", "k", "2")).await.published().await.unwrap();
}

async fn what_was_not_published_is_the_relays(stage: Stage) {
    let first = publishable(&stage, message("t", "k", "1")).await;
    let message_id = first.task().message_id;
    first.stored().await.unwrap();
    let rows = stage.relay().await.waiting().await;
    assert_eq!((values(&rows), rows[0].message_id), (vec!["1".to_owned()], message_id));
}

async fn a_message_queues_behind_those_of_its_key(stage: Stage) {
    stage.emit(message("t", "k", "1")).await;
    let First::Stored(second) = begin(&stage, message("t", "k", "2")).await else {
        panic!("it must not overtake the first")
    };
    let relay = stage.relay().await;
    let rows = relay.waiting().await;
    assert_eq!((values(&rows), rows[1].id), (vec!["1".to_owned(), "2".to_owned()], second));
    // Another key, and the same key of another topic, are nobody's followers.
    publishable(&stage, message("t", "j", "3")).await.published().await.unwrap();
    publishable(&stage, message("u", "k", "4")).await.published().await.unwrap();
    relay.mark(&[rows[0].id, second]).await;
    publishable(&stage, message("t", "k", "5")).await.published().await.unwrap();
}

async fn a_message_without_key_queues_behind_none(stage: Stage) {
    let no_key = |value| NewMessage { key: None, ..message("t", "", value) };
    stage.emit(no_key("1")).await;
    publishable(&stage, no_key("2")).await.published().await.unwrap();
}

async fn a_dropped_one_was_never_emitted(stage: Stage) {
    let once = NewMessage { idempotency_key: Some("once".into()), ..message("t", "k", "1") };
    let first = publishable(&stage, once.clone()).await;
    let id = first.task().id;
    drop(first);
    assert!(stage.outbox.message(id).await.unwrap().is_none());
    assert!(stage.relay().await.waiting().await.is_empty());
    publishable(&stage, once).await.published().await.unwrap();
}

async fn one_that_hangs_keeps_no_others_waiting(stage: Stage) {
    let hangs = publishable(&stage, message("t", "k", "1")).await;
    let id = hangs.task().id;
    let others = async {
        let second = stage.emit(message("t", "j", "2")).await;
        let found = stage.outbox.find(&MessageFilter::default(), None, 9).await.unwrap();
        assert_eq!(found.messages.iter().map(|found| found.id).collect::<Vec<_>>(), [second]);
        assert!(stage.outbox.message(id).await.unwrap().is_none(), "it is nobody else's yet");
        assert_eq!(stage.outbox.task_out_backlog(9).await.unwrap().waiting, 1);
        let relay = stage.relay().await;
        assert!(stage.outbox.relay_beat(relay.host, Duration::from_mins(1)).await.unwrap());
        assert_eq!(values(&relay.waiting().await), ["2"]);
        relay.mark(&[second]).await;
        publishable(&stage, message("t", "j", "3")).await.published().await.unwrap();
        relay
    };
    let relay = timeout(BOUND, others).await.expect("the others wait for it");
    hangs.stored().await.unwrap();
    assert_eq!(values(&relay.waiting().await), ["1"]);
}

async fn another_under_its_idempotency_key_waits_for_its_end(stage: Stage) {
    for (key, is_published) in [("a", true), ("b", false)] {
        let once = [NewMessage { idempotency_key: Some(key.into()), ..message("t", key, "1") }];
        let first = publishable(&stage, once[0].clone()).await;
        let id = first.task().id;
        let mut second = stage.outbox.emit(&once);
        let early = timeout(Duration::from_millis(100), &mut second).await;
        assert!(early.is_err(), "who has the key is not known yet: {early:?}");
        if is_published {
            first.published().await.unwrap();
        } else {
            drop(first);
        }
        let ids = timeout(BOUND, second).await.expect("it waits for ever").unwrap();
        assert_eq!(ids == [id], is_published);
    }
}

/// In Postgres they come in any order: what is not committed is nobody's predecessor.
#[tokio::test]
async fn in_memory_those_of_its_key_come_after_it() {
    let stage = Stage::memory();
    let first = publishable(&stage, message("t", "k", "1")).await;
    let others = async {
        stage.emit(message("t", "k", "2")).await;
        assert!(matches!(begin(&stage, message("t", "k", "3")).await, First::Stored(_)));
        stage.emit(message("u", "k", "4")).await;
        stage.emit(NewMessage { key: None, ..message("t", "", "5") }).await;
        stage.relay().await
    };
    let relay = timeout(BOUND, others).await.expect("the others wait for it");
    assert_eq!(values(&relay.waiting().await), ["4", "5"]);
    first.stored().await.unwrap();
    assert_eq!(values(&relay.waiting().await), ["1", "2", "3", "4", "5"]);
}

async fn a_key_that_is_known_is_not_published_again(stage: Stage) {
    let once =
        |value| NewMessage { idempotency_key: Some("once".into()), ..message("t", "k", value) };
    let first = publishable(&stage, once("1")).await;
    let id = first.task().id;
    first.published().await.unwrap();
    assert!(matches!(begin(&stage, once("1")).await, First::Known(known) if known == id));
    assert!(matches!(stage.outbox.emit_first(&once("2")).await, Err(EmitError::KeyTaken(_))));
    // Nor by an emit, nor after it is forgotten.
    assert_eq!(stage.emit(once("1")).await, id);
    forgets(&stage).await;
    assert!(matches!(begin(&stage, once("1")).await, First::Known(known) if known == id));
    assert!(stage.relay().await.waiting().await.is_empty());
}

async fn what_cannot_be_sent_is_refused(stage: Stage) {
    let refused = stage.outbox.emit_first(&message("no topic", "k", "")).await;
    assert!(matches!(refused, Err(EmitError::Invalid(_))));
}
