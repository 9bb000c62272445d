//! Each wrong thing gets one clear answer that names what, where and how to mend it, and loses nothing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasaga_tests::{Answer, HostOptions, ORDER_PLUGINS, Order, PATIENCE, World, check::promises};

#[track_caller]
fn is_problem(answer: &Answer, status: u16, kind: &str, told: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.body["type"], format!("urn:wasaga:problem:{kind}"), "{}", answer.text);
    for told in told {
        assert!(answer.text.contains(told), "{}: nothing of {told:?}", answer.text);
    }
}

#[tokio::test]
async fn wrong_requests() {
    let world = World::embedded(&ORDER_PLUGINS).await;
    let host = world.host().set("server.body_limit", 10_000).start().await;
    let api = &host.api;
    let nobody = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";
    for path in ["", "/history"] {
        let answer = api.get(&format!("/api/v1/sagas/{nobody}{path}")).await;
        is_problem(&answer, 404, "unknown-saga", &[nobody]);
    }
    is_problem(&api.cancel(nobody).await, 404, "unknown-saga", &[nobody]);
    is_problem(&api.resume(nobody).await, 404, "unknown-saga", &[nobody]);
    is_problem(&api.get("/api/v1/sagas/17").await, 400, "bad-saga-id", &["17", "UUID"]);
    is_problem(&api.get("/api/v1/order").await, 404, "unknown-route", &["/api/v1/order"]);

    let post = async |body: &str| api.post_text("/api/v1/orders", "application/json", body).await;
    is_problem(&post("{\"customer_id\": ").await, 400, "malformed-json", &["line 1"]);
    is_problem(&post("").await, 400, "malformed-json", &["empty"]);
    let plain = api.post_text("/api/v1/orders", "text/plain", "{}").await;
    is_problem(&plain, 415, "not-json", &["text/plain", "application/json"]);
    let huge = format!("\"{}\"", "x".repeat(20_000));
    is_problem(&post(&huge).await, 413, "too-large", &["server.body_limit"]);

    let misfit = json!({
        "customer_id": "", "colour": "red", "items": [{"product_id": "p", "quantity": 0, "price": 1}],
    });
    let answer = api.post("/api/v1/orders", &misfit).await;
    is_problem(&answer, 422, "invalid-input", &["colour"]);
    let places: Vec<_> = answer.body["errors"].as_array().into_iter().flatten().collect();
    for pointer in ["/customer_id", "/items/0/quantity"] {
        assert!(places.iter().any(|place| place["pointer"] == pointer), "{}", answer.text);
    }
    let nul =
        json!({"customer_id": "a\0b", "items": [{"product_id": "p", "quantity": 1, "price": 1}]});
    let answer = api.post("/api/v1/orders", &nul).await;
    is_problem(&answer, 422, "invalid-input", &["/customer_id", "NUL"]);

    let start = |body: Value| async move { api.post("/api/v1/sagas", &body).await };
    let unknown = start(json!({"definition": "ordr", "input": {}})).await;
    is_problem(&unknown, 422, "unknown-definition", &["ordr", "active: order"]);
    let version = start(json!({"definition": "order", "version": 7, "input": {}})).await;
    is_problem(&version, 422, "inactive-version", &["7", "1"]);
    let field = start(json!({"definition": "order", "inputs": {}})).await;
    is_problem(&field, 400, "malformed-json", &["inputs"]);

    // The same id for another order.
    let order = Order::of("alice");
    let saga = api.order(&order).await;
    let other = api.post("/api/v1/orders", &order.clone().item("product-5", 1, 1.0).body()).await;
    is_problem(&other, 409, "key-taken", &[order.id(), &saga]);
    api.reaches(&saga, "completed").await;
    promises(&world).await;
    assert_eq!(world.number("select count(*) from wasaga.sagas").await, 1);
}

/// What the host says when it does not start: one line, and a failure.
async fn refusal(options: &HostOptions, code: i32) -> String {
    let mut host = options.spawn();
    let status = host.ended(PATIENCE).await;
    let log = host.log();
    assert_eq!(status.code(), Some(code), "{log}");
    let said: Vec<_> = log.lines().filter(|line| line.starts_with("wasaga: ")).collect();
    assert_eq!(said.len(), 1, "{log}");
    said[0].to_owned()
}

#[tokio::test]
async fn wrong_configuration() {
    let world = World::embedded(&[]).await;
    let host = world.host();
    for (key, value, told) in [
        ("server.prot", "8080", "did you mean server.port?"),
        ("server.port", "\"http\"", "server.port"),
        ("engine.lease_ms", "1", "must be at least 1000"),
        ("flows.dead_in", "0", "flows.dead_in = 0: must be at least 1"),
        ("kafka.properties.\"linger.sm\"", "5", "linger.sm"),
        ("definitions.order.steps.pay.timeout_msec", "5", "timeout_ms"),
        ("plugins.orders.grants", "{}", "grant"),
    ] {
        let said = refusal(&host.clone().set(key, value), 2).await;
        assert!(said.contains(told), "{said}: nothing of {told:?}");
    }
    let said = refusal(&host.clone().unset("database.url"), 2).await;
    assert!(said.contains("DATABASE_URL"), "{said}");
    let said = refusal(&host.clone().unset("kafka.embedded"), 2).await;
    assert!(said.contains("KAFKA_BROKERS"), "{said}");
}

#[tokio::test]
async fn unreachable_database_at_start() {
    let world = World::embedded(&[]).await;
    let nowhere = "\"postgres://wasaga:secret@127.0.0.1:1/wasaga\"";
    let host = world.host().set("database.url", nowhere).set("database.start_timeout_ms", 1_000);
    let began = Instant::now();
    let said = refusal(&host, 1).await;
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(said.contains("127.0.0.1:1") && said.contains("database.url"), "{said}");
    assert!(!said.contains("secret"), "{said}");

    // A port that is taken.
    let first = world.host().start().await;
    let port = first.log();
    let port =
        port.split("http://127.0.0.1:").nth(1).and_then(|rest| rest.split_whitespace().next());
    let taken = world.host().set("server.port", port.expect("the log tells the address"));
    let said = refusal(&taken, 1).await;
    assert!(said.contains("SERVER_PORT"), "{said}");
}
