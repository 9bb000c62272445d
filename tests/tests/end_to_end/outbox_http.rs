//! The outbox by HTTP, on a whole host.

use serde_json::json;
use wasaga_tests::{PATIENCE, World, environment, eventually};

#[tokio::test]
async fn messages_are_written_published_first_and_found() {
    let world = World::embedded(&[]).await;
    let brokers = json!(environment::kafka());
    let host = world.host().unset("kafka.embedded").set("kafka.brokers", brokers);
    let host = host.set("flows.publish_first_ms", json!(10_000)).start().await;
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
