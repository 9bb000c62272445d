//! Finding messages.

use std::time::Duration;

use wasaga_domain::message_search::MessageFilter;
use wasaga_store::emit::NewMessage;

use crate::{Stage, message, on_both};

on_both!(pages_follow_each_other, messages_are_found_by_what_they_are);

async fn ids(stage: &Stage, filter: &MessageFilter) -> Vec<i64> {
    let found = stage.outbox.find(filter, None, 100).await.unwrap();
    assert_eq!(found.next, None);
    found.messages.iter().map(|message| message.id).collect()
}

async fn pages_follow_each_other(stage: Stage) {
    let messages: Vec<_> = (0..5).map(|n| message("t", "k", &n.to_string())).collect();
    let mut newest = stage.outbox.emit(&messages).await.unwrap();
    newest.reverse();
    let (mut after, mut seen) = (None, Vec::new());
    for size in [2, 2, 1] {
        let page = stage.outbox.find(&MessageFilter::default(), after, 2).await.unwrap();
        assert_eq!(page.messages.len(), size);
        seen.extend(page.messages.iter().map(|message| message.id));
        after = page.next;
    }
    assert_eq!((seen, after), (newest, None));
}

async fn messages_are_found_by_what_they_are(stage: Stage) {
    let first = NewMessage {
        aggregate_id: Some("o-1".into()),
        event_type: Some("placed".into()),
        idempotency_key: Some("place o-1".into()),
        ..message("orders", "o-1", "whole")
    };
    let first = stage.emit(first).await;
    let second = stage.emit(message("orders", "o-2", "")).await;
    let third = stage.emit(NewMessage { key: None, ..message("refunds", "", "") }).await;
    stage.relay().await.mark(&[second]).await;
    for (name, value, expected) in [
        ("topic", "orders", vec![second, first]),
        ("key", "o-2", vec![second]),
        ("status", "wait", vec![third, first]),
        ("status", "ready,rollback", vec![second]),
        ("status", "wait,ready", vec![third, second, first]),
        ("aggregate_id", "o-1", vec![first]),
        ("event_type", "placed", vec![first]),
        ("idempotency_key", "place o-1", vec![first]),
        ("idempotency_key", "place", vec![]),
        ("older_than", "0s", vec![third, second, first]),
        ("older_than", "1h", vec![]),
    ] {
        let mut filter = MessageFilter::default();
        assert_eq!(filter.take(name, value), Ok(true));
        assert_eq!(ids(&stage, &filter).await, expected, "{name}={value}");
    }
    let both = MessageFilter {
        topic: Some("orders".into()),
        older_than: Some(Duration::ZERO),
        key: Some("o-1".into()),
        ..MessageFilter::default()
    };
    assert_eq!(ids(&stage, &both).await, [first]);
    let whole = stage.outbox.message(first).await.unwrap().unwrap();
    assert_eq!(whole.value.as_deref(), Some(&b"whole"[..]));
    assert_eq!(whole.found.aggregate_id.as_deref(), Some("o-1"));
    assert!(stage.outbox.message(third + 1).await.unwrap().is_none());
}
