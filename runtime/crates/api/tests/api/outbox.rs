//! Messages: written, published first, found.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::host::Host;

fn order(n: u32) -> Value {
    json!({
        "topic": "orders", "key": format!("o-{n}"), "payload": { "cents": n },
        "headers": [["tenant", "acme"]], "idempotency_key": format!("place o-{n}"),
        "aggregate_id": format!("o-{n}"), "event_type": "order.placed",
    })
}

fn ids(page: &Value) -> Vec<i64> {
    page["events"].as_array().unwrap().iter().map(|event| event["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_message_is_written_and_read() {
    let host = Host::start().await;
    let written = host.post("/api/v1/events", &order(1)).await;
    assert_eq!((written.status, written.json()), (201, json!({ "id": 1, "status": "stored" })));
    assert_eq!(written.location.as_deref(), Some("/api/v1/events/1"));
    let again = host.post("/api/v1/events", &order(1)).await.json();
    assert_eq!(again["id"], 1, "the second under one key is the first");
    let read = host.get("/api/v1/events/1").await.json();
    for (member, value) in order(1).as_object().unwrap() {
        assert_eq!(&read[member], value, "{member}");
    }
    assert_eq!((&read["status"], &read["attempts"]), (&json!("wait"), &json!(0)));
    assert!(read["message_id"].is_string() && read["created_at"].is_string());
    let bytes = json!({ "topic": "t", "key_bytes": "/w==", "payload_bytes": "/wA=" });
    let id = host.post("/api/v1/events", &bytes).await.json()["id"].clone();
    let read = host.get(&format!("/api/v1/events/{id}")).await.json();
    assert_eq!((&read["key_bytes"], &read["payload_bytes"]), (&json!("/w=="), &json!("/wA=")));
    assert_eq!((&read["key"], &read["payload"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn many_are_written_or_none() {
    let host = Host::start().await;
    let many = json!([order(1), order(2)]);
    let written = host.post("/api/v1/events", &many).await;
    assert_eq!((written.status, written.json()), (201, json!({ "ids": [1, 2] })));
    let bad = json!([order(3), { "topic": "no topic" }]);
    let refused = host.post("/api/v1/events", &bad).await.problem(422);
    assert!(refused["detail"].as_str().unwrap().contains("message 2: "), "{refused}");
    assert_eq!(ids(&host.get("/api/v1/events").await.json()), [2, 1]);
}

#[tokio::test]
async fn a_message_is_published_first() {
    let host = Host::start().await;
    let path = "/api/v1/events?mode=publish-first";
    let published = host.post(path, &order(1)).await;
    let expected = json!({ "id": 1, "status": "published", "partition": 0, "offset": 7 });
    assert_eq!((published.status, published.json()), (201, expected));
    assert_eq!(host.get("/api/v1/events/1").await.json()["status"], "ready");
    let known = host.post(path, &order(1)).await;
    assert_eq!((known.status, known.json()), (200, json!({ "id": 1, "status": "known" })));
    host.broken.down.store(true, Ordering::Relaxed);
    let stored = host.post(path, &order(2)).await;
    assert_eq!(stored.status, 201);
    assert_eq!(stored.json()["status"], "stored");
    let many = host.post(path, &json!([order(3)])).await.problem(422);
    assert!(many["detail"].as_str().unwrap().contains("one message"), "{many}");
    let mode = host.post("/api/v1/events?mode=first", &order(3)).await.problem(400);
    assert!(mode["detail"].as_str().unwrap().contains("publish-first"), "{mode}");
}

#[tokio::test]
async fn messages_are_found_page_by_page() {
    let host = Host::start().await;
    let many: Vec<_> = (1..=5).map(order).collect();
    host.post("/api/v1/events", &json!(many)).await;
    host.database
        .run("update wasaga.task_out set status = 'ready', finished_at = now() where id = 4")
        .await;
    let first = host.get("/api/v1/events?limit=3").await.json();
    assert_eq!((ids(&first), &first["next"]), (vec![5, 4, 3], &json!(3)));
    let second = host.get("/api/v1/events?limit=3&after=3").await.json();
    assert_eq!((ids(&second), &second["next"]), (vec![2, 1], &Value::Null));
    assert_eq!(first["events"][0]["payload"], Value::Null, "a page does not carry payloads");
    for (query, expected) in [
        ("topic=orders&key=o-2", vec![2]),
        ("topic=refunds", vec![]),
        ("status=ready,rollback", vec![4]),
        ("aggregate_id=o-5", vec![5]),
        ("event_type=order.placed&status=wait&limit=1", vec![5]),
        ("idempotency_key=place+o-3", vec![3]),
        ("older_than=1h", vec![]),
    ] {
        let page = host.get(&format!("/api/v1/events?{query}")).await.json();
        assert_eq!(ids(&page), expected, "{query}");
    }
    for query in ["stauts=wait", "status=done", "limit=0", "limit=501", "after=x", "older_than=1"] {
        let problem = host.get(&format!("/api/v1/events?{query}")).await.problem(400);
        assert_eq!(problem["type"], "urn:wasaga:problem:bad-parameter", "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_refused() {
    let host = Host::start().await;
    host.post("/api/v1/events", &order(1)).await;
    let other = json!({ "topic": "orders", "idempotency_key": "place o-1" });
    let taken = host.post("/api/v1/events", &other).await.problem(409);
    assert_eq!(taken["type"], "urn:wasaga:problem:key-taken");
    for (body, says) in [
        (json!({}), "topic"),
        (json!({ "topic": "t", "pay": 1 }), "unknown field `pay`"),
        (json!({ "topic": "t", "key": 5 }), "expected a string"),
        (json!({ "topic": "t", "key_bytes": "?" }), "Invalid"),
        (json!({ "topic": "t", "headers": [["a", 1]] }), "header"),
        (json!({ "topic": "t", "max_attempts": 0 }), "max_attempts must be at least 1"),
        (json!("t"), "a message"),
    ] {
        let problem = host.post("/api/v1/events", &body).await.problem(422);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{body}: {problem}");
    }
    for id in ["7", "x"] {
        let problem = host.get(&format!("/api/v1/events/{id}")).await.problem(404);
        assert_eq!(problem["type"], "urn:wasaga:problem:unknown-event");
    }
    assert_eq!(ids(&host.get("/api/v1/events").await.json()), [1]);
}
