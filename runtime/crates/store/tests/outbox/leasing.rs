//! The relay's lane, and what it reads and changes while the lane is its own.

use std::time::{Duration, Instant};

use serde_json::json;
use wasaga_domain::message_search::{MessageFilter, TaskStatus};
use wasaga_store::{
    emit::{NewMessage, RollbackMessage},
    lanes::Flow,
    task_out::{Excluded, Leased},
};

use crate::{Stage, forgets, message, on_both, values};

on_both!(
    one_relay_holds_the_lane,
    whoever_lost_the_lane_changes_nothing,
    a_lease_that_ends_frees_the_lane,
    a_read_leaves_out_what_is_excluded,
    what_is_published_waits_no_more,
    a_message_is_refused_and_given_up,
    published_messages_are_forgotten,
    the_backlog_is_counted,
);

async fn one_relay_holds_the_lane(stage: Stage) {
    let first = stage.relay().await;
    let outbox = &stage.outbox;
    let other = outbox.relay_register("other", "0", Duration::from_mins(1)).await.unwrap();
    assert!(outbox.lanes_take(other, Flow::Out, 1).await.unwrap().is_empty());
    assert_eq!(outbox.lanes_of(first.host, Flow::Out).await.unwrap(), [first.lane]);
    assert!(outbox.lanes_of(other, Flow::Out).await.unwrap().is_empty());
    // What another releases stays.
    outbox.lanes_release(other, Flow::Out, &[0]).await.unwrap();
    assert!(outbox.lanes_take(other, Flow::Out, 1).await.unwrap().is_empty());
    outbox.lanes_release(first.host, Flow::Out, &[0]).await.unwrap();
    let taken = outbox.lanes_take(other, Flow::Out, 1).await.unwrap();
    assert_eq!(taken.iter().map(|lane| lane.epoch).collect::<Vec<_>>(), [first.lane.epoch + 1]);
    outbox.relay_leave(other).await.unwrap();
    assert_eq!(outbox.lanes_take(first.host, Flow::Out, 1).await.unwrap().len(), 1);
}

async fn whoever_lost_the_lane_changes_nothing(stage: Stage) {
    let undo = RollbackMessage { topic: "undo".into(), ..RollbackMessage::default() };
    let id = stage.emit(NewMessage { rollback: Some(undo), ..message("t", "k", "1") }).await;
    let old = stage.relay().await;
    stage.outbox.lanes_release(old.host, Flow::Out, &[0]).await.unwrap();
    let new = stage.relay().await;
    let (outbox, reason) = (&stage.outbox, json!({ "code": "test" }));
    let nothing = Excluded::default();
    let read = outbox.task_out_waiting(old.host, old.lane, &nothing, 9, 99).await.unwrap();
    assert!(matches!(read, Leased::Lost));
    assert_eq!(old.mark(&[id]).await, Leased::Lost);
    let (ids, reasons) = ([id], std::slice::from_ref(&reason));
    let refused = outbox.task_out_refused(old.host, old.lane, &ids, reasons).await.unwrap();
    assert_eq!(refused, Leased::Lost);
    let given_up = outbox.task_out_given_up(old.host, old.lane, id, &reason).await.unwrap();
    assert_eq!(given_up, Leased::Lost);
    let rows = new.waiting().await;
    assert_eq!((rows.len(), rows[0].id, rows[0].attempts), (1, id, 0));
}

async fn a_lease_that_ends_frees_the_lane(stage: Stage) {
    let outbox = &stage.outbox;
    let lease = Duration::from_millis(100);
    let short = outbox.relay_register("short", "0", lease).await.unwrap();
    assert_eq!(outbox.lanes_take(short, Flow::Out, 1).await.unwrap().len(), 1);
    let other = outbox.relay_register("other", "0", Duration::from_mins(1)).await.unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while outbox.lanes_take(other, Flow::Out, 1).await.unwrap().is_empty() {
        assert!(Instant::now() < until, "the lane is never free");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!outbox.relay_beat(short, lease).await.unwrap(), "it is over");
    assert!(outbox.lanes_take(short, Flow::Out, 1).await.unwrap().is_empty());
    assert!(outbox.relay_beat(other, lease).await.unwrap());
}

async fn a_read_leaves_out_what_is_excluded(stage: Stage) {
    let mut ids = Vec::new();
    for (topic, key, value) in
        [("a", "1", "a1"), ("a", "2", "a2"), ("b", "1", "b1"), ("c", "1", "c1"), ("c", "1", "c2")]
    {
        ids.push(stage.emit(message(topic, key, value)).await);
    }
    let no_key = NewMessage { key: None, ..message("b", "", "b") };
    stage.emit(no_key).await;
    let relay = stage.relay().await;
    assert_eq!(values(&relay.waiting().await), ["a1", "a2", "b1", "c1", "c2", "b"]);
    let excluded = Excluded {
        ids: vec![ids[3]],
        topics: vec!["a".into()],
        key_topics: vec!["b".into()],
        keys: vec![b"1".to_vec()],
        ..Excluded::default()
    };
    assert_eq!(values(&relay.read(&excluded, 100, 1 << 30).await), ["c2", "b"]);
    assert_eq!(values(&relay.read(&Excluded::default(), 2, 1 << 30).await), ["a1", "a2"]);
    let after = Excluded { after: ids[3], ..Excluded::default() };
    assert_eq!(values(&relay.read(&after, 100, 1 << 30).await), ["c2", "b"]);
    // The message that reaches the bound is the last one.
    assert_eq!(values(&relay.read(&Excluded::default(), 100, 400).await), ["a1", "a2"]);
}

async fn what_is_published_waits_no_more(stage: Stage) {
    let messages = ["1", "2", "3"].map(|value| message("t", "k", value));
    let ids = stage.outbox.emit(&messages).await.unwrap();
    let relay = stage.relay().await;
    assert_eq!(relay.mark(&ids[..2]).await, Leased::Held(()));
    assert_eq!(values(&relay.waiting().await), ["3"]);
    let found = stage.outbox.message(ids[0]).await.unwrap().unwrap().found;
    assert_eq!((found.status, found.finished_at.is_some()), (TaskStatus::Ready, true));
}

async fn a_message_is_refused_and_given_up(stage: Stage) {
    let undo = RollbackMessage {
        topic: "undo".into(),
        key: Some("u".into()),
        payload_bytes: Some("undone".into()),
        ..RollbackMessage::default()
    };
    let key = Some("do".to_owned());
    let with = NewMessage { rollback: Some(undo), idempotency_key: key, ..message("t", "k", "1") };
    let ids = stage.outbox.emit(&[with, message("t", "k", "2")]).await.unwrap();
    let relay = stage.relay().await;
    let (outbox, host, lane) = (&stage.outbox, relay.host, relay.lane);
    let reason = json!({ "code": "unknown-topic" });
    outbox.task_out_refused(host, lane, &ids[..1], std::slice::from_ref(&reason)).await.unwrap();
    let rows = relay.waiting().await;
    assert_eq!((rows[0].attempts, rows[1].attempts), (1, 0));
    for id in &ids {
        outbox.task_out_given_up(host, lane, *id, &reason).await.unwrap();
        // What is given up stays so.
        relay.mark(&[*id]).await;
        outbox.task_out_given_up(host, lane, *id, &reason).await.unwrap();
    }
    let rows = relay.waiting().await;
    assert_eq!(values(&rows), ["undone"]);
    assert_eq!((rows[0].topic.as_str(), rows[0].key.as_deref()), ("undo", Some(&b"u"[..])));
    assert_eq!(rows[0].idempotency_key.as_deref(), Some("do/rollback"));
    let mut statuses = Vec::new();
    for id in ids {
        let found = outbox.message(id).await.unwrap().unwrap().found;
        assert_eq!(found.error.as_ref(), Some(&reason));
        statuses.push((found.status, found.attempts));
    }
    assert_eq!(statuses, [(TaskStatus::Rollback, 2), (TaskStatus::ErrorRollbackNone, 1)]);
}

async fn published_messages_are_forgotten(stage: Stage) {
    let key = Some("once".to_owned());
    let once = NewMessage { idempotency_key: key, ..message("t", "k", "1") };
    let first = stage.emit(once.clone()).await;
    stage.emit(message("t", "k", "2")).await;
    let relay = stage.relay().await;
    relay.mark(&[first]).await;
    assert_eq!(stage.outbox.task_out_forget(60_000, 99).await.unwrap(), 0);
    forgets(&stage).await;
    assert!(stage.outbox.message(first).await.unwrap().is_none());
    assert_eq!(values(&relay.waiting().await), ["2"]);
    // Its key outlives it.
    assert_eq!(stage.outbox.horizons_forget(99).await.unwrap(), 0);
    assert_eq!(stage.emit(once).await, first);
    assert_eq!(
        stage.outbox.find(&MessageFilter::default(), None, 9).await.unwrap().messages.len(),
        1
    );
}

/// In Postgres it is kept until its dead letter has ended.
#[tokio::test]
async fn in_memory_what_was_given_up_is_forgotten() {
    let stage = Stage::memory();
    let (relay, reason) = (stage.relay().await, json!({ "code": "test" }));
    let undo = RollbackMessage {
        topic: "undo".into(),
        payload_bytes: Some("undone".into()),
        ..RollbackMessage::default()
    };
    for rollback in [None, Some(undo)] {
        let id = stage.emit(NewMessage { rollback, ..message("t", "k", "1") }).await;
        stage.outbox.task_out_given_up(relay.host, relay.lane, id, &reason).await.unwrap();
        assert_eq!(stage.outbox.task_out_forget(60_000, 99).await.unwrap(), 0);
        forgets(&stage).await;
        assert!(stage.outbox.message(id).await.unwrap().is_none());
    }
    assert_eq!(values(&relay.waiting().await), ["undone"]);
}

async fn the_backlog_is_counted(stage: Stage) {
    let none = stage.outbox.task_out_backlog(99).await.unwrap();
    assert_eq!((none.waiting, none.oldest_seconds.abs() < 1e-9), (0, true));
    for n in 0..5 {
        stage.emit(message("t", "k", &n.to_string())).await;
    }
    let some = stage.outbox.task_out_backlog(3).await.unwrap();
    assert_eq!((some.waiting, some.oldest_seconds >= 0.0), (3, true));
}
