//! Adding messages.

use serde_json::{Value, json, value::to_raw_value};
use wasaga_domain::message::Header;
use wasaga_store::{
    emit::{EmitError, NewMessage, RollbackMessage},
    headers,
};

use crate::{Stage, message, on_both, values};

on_both!(
    a_message_is_as_it_was_given,
    ids_grow_in_order,
    a_second_one_under_one_key_is_the_first,
    all_of_them_or_none,
    what_cannot_be_sent_is_refused,
    a_cloud_event_says_what_it_is,
);

async fn a_message_is_as_it_was_given(stage: Stage) {
    let header =
        |name: &str, value: &'static [u8]| Header { name: name.into(), value: value.into() };
    let first = NewMessage {
        headers: vec![header("tenant", b"acme"), header("seal", b"\xff")],
        aggregate_id: Some("o-1".into()),
        event_type: Some("order.placed".into()),
        idempotency_key: Some("place o-1".into()),
        max_attempts: Some(3),
        payload: Some(to_raw_value(&json!({ "cents": 1200 })).unwrap()),
        payload_bytes: None,
        ..message("orders", "o-1", "")
    };
    stage.emit(first.clone()).await;
    let tombstone = NewMessage {
        topic: "orders".into(),
        key_bytes: Some(vec![0, 255].into()),
        ..NewMessage::default()
    };
    stage.emit(tombstone).await;
    let rows = stage.relay().await.waiting().await;
    assert_eq!(rows.len(), 2);
    let (row, bytes) = (&rows[0], &rows[1]);
    assert_eq!((row.topic.as_str(), row.key.as_deref()), ("orders", Some(&b"o-1"[..])));
    let value: Value = serde_json::from_slice(row.value.as_ref().unwrap()).unwrap();
    assert_eq!(value, json!({ "cents": 1200 }));
    assert_eq!(headers::from_json(&row.headers).unwrap(), first.headers);
    assert_eq!(row.idempotency_key.as_deref(), Some("place o-1"));
    assert_eq!((row.attempts, row.max_attempts), (0, Some(3)));
    assert_eq!((bytes.key.as_deref(), &bytes.value), (Some(&[0, 255][..]), &None));
}

async fn ids_grow_in_order(stage: Stage) {
    let messages: Vec<_> = (0..20).map(|n| message("t", "k", &n.to_string())).collect();
    let ids = stage.outbox.emit(&messages).await.unwrap();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let rows = stage.relay().await.waiting().await;
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), ids);
    assert_eq!(values(&rows), (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

async fn a_second_one_under_one_key_is_the_first(stage: Stage) {
    let once =
        |value| NewMessage { idempotency_key: Some("once".into()), ..message("t", "k", value) };
    let first = stage.emit(once("1")).await;
    assert_eq!(stage.emit(once("1")).await, first);
    let both = stage.outbox.emit(&[once("1"), once("1")]).await.unwrap();
    assert_eq!(both, [first, first]);
    let other = stage.outbox.emit(&[once("2")]).await.unwrap_err();
    assert!(matches!(&other, EmitError::KeyTaken(why) if why.contains("\"once\"")), "{other}");
    let other = NewMessage {
        rollback: Some(RollbackMessage { topic: "u".into(), ..RollbackMessage::default() }),
        ..once("1")
    };
    assert!(matches!(stage.outbox.emit(&[other]).await, Err(EmitError::KeyTaken(_))));
    assert_eq!(stage.relay().await.waiting().await.len(), 1);
}

async fn all_of_them_or_none(stage: Stage) {
    let twice =
        |value| NewMessage { idempotency_key: Some("twice".into()), ..message("t", "k", value) };
    for bad in [[twice("1"), message("no topic", "k", "")], [twice("1"), twice("2")]] {
        stage.outbox.emit(&bad).await.unwrap_err();
    }
    assert!(stage.relay().await.waiting().await.is_empty());
    stage.emit(twice("2")).await;
}

async fn what_cannot_be_sent_is_refused(stage: Stage) {
    let good = || message("t", "k", "v");
    let long = || Some("x".repeat(501));
    let named = |name: &str| vec![Header { name: name.into(), value: "x".into() }];
    let undo =
        |topic: &str| Some(RollbackMessage { topic: topic.into(), ..RollbackMessage::default() });
    let json = || Some(to_raw_value(&1).unwrap());
    for (bad, says) in [
        (message("no topic", "k", ""), "topic"),
        (message("", "k", ""), "topic"),
        (NewMessage { key_bytes: Some("k".into()), ..good() }, "key"),
        (NewMessage { payload: json(), ..good() }, "payload"),
        (NewMessage { headers: named("message-id"), ..good() }, "message-id"),
        (NewMessage { idempotency_key: long(), ..good() }, "idempotency_key"),
        (NewMessage { idempotency_key: Some(String::new()), ..good() }, "idempotency_key"),
        (NewMessage { aggregate_id: long(), ..good() }, "aggregate_id"),
        (NewMessage { event_type: long(), ..good() }, "event_type"),
        (NewMessage { max_attempts: Some(0), ..good() }, "max_attempts"),
        (NewMessage { traceparent: Some("x".into()), ..good() }, "traceparent"),
        (NewMessage { cloud_event_source: Some("/shop".into()), ..good() }, "event_type"),
        (NewMessage { rollback: undo("no topic"), ..good() }, "rollback"),
        (NewMessage { payload_bytes: Some(vec![0; (10 << 20) + 1].into()), ..good() }, "10485760"),
    ] {
        let refused = stage.outbox.emit(&[good(), bad]).await.unwrap_err();
        let EmitError::Invalid(why) = &refused else { panic!("{says}: {refused}") };
        assert!(why.starts_with("message 2: ") && why.contains(says), "{says}: {why}");
    }
    assert!(stage.relay().await.waiting().await.is_empty());
}

async fn a_cloud_event_says_what_it_is(stage: Stage) {
    let event = NewMessage {
        cloud_event_source: Some("/shop".into()),
        event_type: Some("order.placed".into()),
        aggregate_id: Some("o-1".into()),
        payload: Some(to_raw_value(&json!({})).unwrap()),
        payload_bytes: None,
        ..message("t", "k", "")
    };
    stage.emit(event).await;
    let row = stage.relay().await.waiting().await.remove(0);
    let headers = headers::from_json(&row.headers).unwrap();
    let text = |header: &Header| String::from_utf8(header.value.to_vec()).unwrap();
    let id = row.message_id.to_string();
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", &id),
        ("ce_source", "/shop"),
        ("ce_type", "order.placed"),
        ("ce_subject", "o-1"),
    ];
    for (header, (name, value)) in headers.iter().zip(expected) {
        assert_eq!((header.name.as_str(), text(header).as_str()), (name, value));
    }
    assert!(text(&headers[5]).ends_with('Z'), "{headers:?}");
    assert_eq!(text(&headers[6]), "application/json");
}
