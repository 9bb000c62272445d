//! The outbox by HTTP, on a whole host.

use serde_json::{Value, json};
use wasaga_tests::{HostOptions, PATIENCE, World, environment, eventually};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A host on the broker that many tests share.
fn host(world: &World) -> HostOptions {
    let brokers = json!(environment::kafka());
    world.host().unset("kafka.embedded").set("kafka.brokers", brokers)
}

/// The one record with this key, as a consumer has it from Kafka.
async fn record(world: &World, key: &str) -> Value {
    let record = format!(
        "select headers, convert_from(value, 'UTF8')::jsonb as value from wasaga.task_in
         where key = convert_to('{key}', 'UTF8')"
    );
    eventually(format!("a record of {key} comes"), PATIENCE, async || {
        let mut records = world.rows(&record).await;
        assert!(records.len() < 2, "{records:?}");
        records.pop()
    })
    .await
}

#[tokio::test]
async fn messages_are_written_published_first_and_found() {
    let world = World::embedded(&[]).await;
    let host = host(&world).set("flows.publish_first_ms", json!(10_000)).start().await;
    let order = |n: u32| {
        json!({
            "topic": "events.over-http", "key": "o-1", "payload": { "cents": n },
            "idempotency_key": format!("order {n}"),
        })
    };
    let written = host.api.post("/api/v1/events", &order(1)).await;
    assert_eq!((written.status, &written.body["status"]), (201, &json!("stored")));
    let path = format!("/api/v1/events/{}", written.body["id"]);
    eventually("the relay publishes it", PATIENCE, async || {
        (host.api.get(&path).await.body["status"] == "ready").then_some(())
    })
    .await;
    let path = "/api/v1/events?mode=publish-first";
    let first = host.api.post(path, &order(2)).await;
    assert_eq!((first.status, &first.body["status"]), (201, &json!("published")), "{}", first.text);
    assert!(first.body["offset"].is_number(), "{}", first.text);
    let known = host.api.post(path, &order(2)).await;
    assert_eq!((known.status, &known.body["id"]), (200, &first.body["id"]));
    let found = host.api.get("/api/v1/events?topic=events.over-http&status=ready").await.body;
    let ids: Vec<_> = found["events"].as_array().into_iter().flatten().map(|e| &e["id"]).collect();
    assert_eq!(ids, [&first.body["id"], &written.body["id"]]);
}

#[tokio::test]
async fn a_message_is_a_traced_cloud_event_and_is_rolled_back_where_it_is_given_up() {
    let world = World::on_kafka(&["letters-rust"]).await;
    let host = world.host().start().await;
    let placed = json!({
        "topic": "letters.in", "key": "o-1", "payload": { "cents": 1200 }, "headers": [["tenant", "acme"]],
        "idempotency_key": "place-o-1", "aggregate_id": "order 1", "event_type": "order.placed",
        "cloud_event_source": "/shop", "traceparent": TRACE,
        "rollback": { "topic": "letters.in", "key": "undo", "payload": "o-1" },
    });
    let written = host.api.post("/api/v1/events", &placed).await;
    assert_eq!(written.status, 201, "{}", written.text);
    let event = host.api.get(&format!("/api/v1/events/{}", written.body["id"])).await.ok();
    let seen = record(&world, "o-1").await;
    assert_eq!(seen["value"], placed["payload"]);
    let time = seen["headers"][6][1].as_str().unwrap_or_default();
    assert!(time.contains('T') && time.ends_with('Z'), "{time}");
    let since = format!(
        "select abs(extract(epoch from '{time}'::timestamptz - created_at))::bigint
         from wasaga.task_out where idempotency_key = 'place-o-1'"
    );
    assert!(world.number(&since).await < 10, "{time}");
    let expected = json!([
        ["tenant", "acme"],
        ["ce_specversion", "1.0"],
        ["ce_id", event["message_id"]],
        ["ce_source", "/shop"],
        ["ce_type", "order.placed"],
        ["ce_subject", "order 1"],
        ["ce_time", time],
        ["content-type", "application/json"],
        ["message-id", event["message_id"]],
        ["idempotency-key", "place-o-1"],
        ["traceparent", TRACE],
    ]);
    assert_eq!(seen["headers"], expected);

    // More than the broker takes, in the trace of the request.
    let large = json!({
        "topic": "letters.charge", "key": "o-2", "payload": "x".repeat(1_020_000), "idempotency_key": "charge-o-2",
        "rollback": { "topic": "letters.in", "key": "undo", "payload": { "undo": "o-2" } },
    });
    let request = reqwest::Client::new().post(host.api.url("/api/v1/events")).json(&large);
    let written = request.header("traceparent", TRACE).send().await.expect("it is answered");
    assert_eq!(written.status(), 201);
    let written: Value = written.json().await.expect("it is JSON");
    let seen = record(&world, "undo").await;
    assert_eq!(seen["value"], json!({ "undo": "o-2" }));
    let found = "/api/v1/events?idempotency_key=charge-o-2/rollback";
    let rollback = host.api.get(found).await.ok()["events"][0].clone();
    let expected = json!([
        ["message-id", rollback["message_id"]],
        ["idempotency-key", "charge-o-2/rollback"],
        ["traceparent", TRACE],
    ]);
    assert_eq!(seen["headers"], expected);
    let given_up = host.api.get(&format!("/api/v1/events/{}", written["id"])).await.ok();
    assert_eq!(given_up["status"], "rollback");
    assert_eq!(given_up["error"]["code"], "kafka-message-size-too-large");
}

#[tokio::test]
async fn a_message_to_a_topic_that_the_broker_does_not_have_is_stored_and_given_up() {
    let world = World::embedded(&[]).await;
    // The broker would make it, and is asked not to.
    let host = host(&world).set("kafka.producer.allow.auto.create.topics", false).start().await;
    let message = json!({ "topic": "events.nowhere", "key": "k", "payload": 1, "max_attempts": 2 });
    let written = host.api.post("/api/v1/events?mode=publish-first", &message).await;
    let stored = json!({ "id": written.body["id"], "status": "stored" });
    assert_eq!((written.status, &written.body), (201, &stored));
    let path = format!("/api/v1/events/{}", written.body["id"]);
    let given_up = eventually("the relay gives it up", PATIENCE, async || {
        let event = host.api.get(&path).await.ok();
        (event["status"] == "error_rollback_none").then_some(event)
    })
    .await;
    assert_eq!(given_up["attempts"], 2);
    let letters = host.api.get("/api/v1/dead-letters/out?topic=events.nowhere").await.ok();
    let letter = &letters["letters"][0];
    assert_eq!((&letter["task_id"], &letter["status"]), (&written.body["id"], &json!("wait")));
    assert_eq!(letter["reason"], given_up["error"]);
    let reason = letter["reason"].to_string();
    assert!(reason.contains("kafka-unknown-topic") && reason.contains("Unknown topic"), "{reason}");
}
