//! Sagas that left: those of the archive are read as before, and of those that were dropped it is known for a while.

use std::time::Duration;

use serde_json::{Value, json};
use wasaga_store::retention::Retirement;

use crate::host::Host;

fn order(customer: &str) -> Value {
    json!({ "order_id": "o-1", "customer_id": customer, "items": [] })
}

/// An order whose saga has ended and left; its path.
async fn left(host: &Host, archive: bool) -> String {
    let started = host.post("/api/v1/orders", &order("c")).await.json();
    let id = started["saga_id"].as_str().unwrap();
    host.database
        .run(&format!(
            "update wasaga.sagas set status = 'completed', state = '{{\"course\": \"completed\"}}', sequence = 1,
                 host_id = null, created_at = '2024-02-28Z', updated_at = '2024-02-29Z' where id = '{id}';
             insert into wasaga.journal (saga_id, number, kind, direction, attempt, started_at, at)
             values ('{id}', 1, 'completed', 'forward', 0, '2024-02-29Z', '2024-02-29Z')"
        ))
        .await;
    let how = Retirement {
        keep: Duration::from_hours(24),
        archive,
        batch: 10,
        tombstones: Duration::from_hours(1),
        every: Duration::from_mins(1),
    };
    assert_eq!(host.store.sagas_retire(&how).await.unwrap().removed, 1);
    format!("/api/v1/sagas/{id}")
}

#[tokio::test]
async fn an_archived_saga_answers_as_before() {
    let host = Host::start().await;
    let path = left(&host, true).await;
    let saga = host.get(&path).await.json();
    assert_eq!((&saga["status"], &saga["archived"]), (&json!("completed"), &json!(true)));
    assert_eq!(
        (&saga["context"]["customer_id"], &saga["updated_at"]),
        (&json!("c"), &json!("2024-02-29T00:00:00Z"))
    );
    let history = host.get(&format!("{path}/history")).await.json();
    assert_eq!(
        (&history["events"][0]["kind"], &history["archived"]),
        (&json!("completed"), &json!(true))
    );
    assert_eq!(
        host.post(&format!("{path}/cancel"), &json!({})).await.problem(409)["type"],
        "urn:wasaga:problem:final-saga"
    );

    let again = host.post("/api/v1/orders?wait=30s", &order("c")).await;
    assert_eq!((again.status, &again.json()["saga_id"]), (200, &saga["saga_id"]), "{}", again.text);
    assert_eq!(
        host.post("/api/v1/orders", &order("d")).await.problem(409)["type"],
        "urn:wasaga:problem:key-taken"
    );

    // Beyond the horizon the key's saga is another one.
    host.database.run("update wasaga.tombstones set until = now()").await;
    assert_eq!(host.post("/api/v1/orders", &order("d")).await.json()["status"], "pending");
    assert_eq!(host.get(&path).await.json().get("archived"), None);
    assert_eq!(host.get(&format!("{path}/history")).await.json()["events"], json!([]));
}

#[tokio::test]
async fn a_dropped_saga_is_said_to_be_gone() {
    let host = Host::start().await;
    let path = left(&host, false).await;
    for path in [path.clone(), format!("{path}/history")] {
        let problem = host.get(&path).await.problem(404);
        assert_eq!(problem["type"], "urn:wasaga:problem:removed-saga");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("ended completed at 2024-02-29T00:00:00Z"), "{detail}");
    }
    assert_eq!(
        host.post(&format!("{path}/cancel"), &json!({})).await.problem(409)["type"],
        "urn:wasaga:problem:final-saga"
    );
    let again = host
        .post_raw("/api/v1/orders?wait=30s", "application/json", format!(" {}", order("c")))
        .await;
    assert_eq!(
        (again.status, &again.json()["status"]),
        (202, &json!("completed")),
        "{}",
        again.text
    );
    assert_eq!(
        host.post("/api/v1/orders", &order("d")).await.problem(409)["type"],
        "urn:wasaga:problem:key-taken"
    );
    host.database.run("update wasaga.tombstones set until = now()").await;
    assert_eq!(host.get(&path).await.problem(404)["type"], "urn:wasaga:problem:unknown-saga");
}
