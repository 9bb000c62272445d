//! Health, metrics, plugins, and a host whose database is away.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::host::Host;

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let host = Host::start().await;
    assert_eq!(host.get("/healthz").await.status, 200);
    let ready = host.get("/readyz").await;
    assert_eq!((ready.status, ready.json()["status"].clone()), (200, json!("ready")));

    host.broken.down.store(true, Ordering::Relaxed);
    let away = host.get("/readyz").await;
    assert_eq!(away.status, 503);
    let checks = &away.json()["checks"];
    assert_eq!(checks["database"], json!({ "status": "ready" }));
    assert_eq!(checks["broker"], json!({ "status": "not_ready", "reason": "connection refused" }));

    let order = json!({ "customer_id": "c", "items": [] });
    let problem = host.post("/api/v1/orders", &order).await.problem(503);
    assert_eq!(problem["detail"], "the database is away");
}

#[tokio::test]
async fn plugins_and_rejections_are_listed() {
    let host = Host::start().await;
    let plugins = host.get("/api/v1/plugins").await.json();
    assert_eq!(plugins["plugins"][0]["name"], "order-saga");
    assert!(plugins["plugins"][0]["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(plugins["plugins"][0]["sagas"], json!([{ "name": "order", "version": 1 }]));
    assert_eq!(
        plugins["rejections"],
        json!([{ "source": "broken.wasm", "reason": "it is no component" }])
    );
    assert_eq!(host.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn queues_are_counted() {
    let host = Host::start().await;
    host.post("/api/v1/orders", &json!({ "customer_id": "c", "items": [] })).await;
    let depths = host.store.queue_depths().await.expect("counts");
    assert_eq!((depths.sagas_leased, depths.task_in), (1, 0));
    assert_eq!(host.store.sagas_needing_attention().await.expect("a count"), 0);
}
