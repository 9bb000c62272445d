//! Orders and sagas that are as they should be.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::host::Host;

fn order() -> Value {
    json!({ "customer_id": "customer-123", "items": [{ "product_id": "p", "quantity": 2, "price": 100.0 }] })
}

#[tokio::test]
async fn an_order_is_accepted_with_the_keys_of_its_trigger() {
    let host = Host::start().await;
    let answer = host.post("/api/v1/orders", &order()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let accepted = answer.json();
    assert_eq!(accepted["status"], "pending");
    assert_eq!(accepted["message"], "Order creation started");
    let made: Uuid = accepted["order_id"].as_str().unwrap().parse().expect("a made key is a UUID");
    assert_eq!(made.get_version_num(), 7);

    let id = accepted["saga_id"].as_str().unwrap();
    let saga = host.get(&format!("/api/v1/sagas/{id}")).await.json();
    assert_eq!(saga["saga_id"], id);
    assert_eq!(saga["definition"], "order");
    assert_eq!(saga["status"], "pending");
    assert_eq!(saga["current_step"], "reserve_inventory");
    assert_eq!(saga["context"]["order_id"], accepted["order_id"]);
    assert_eq!(saga["context"]["customer_id"], "customer-123");
    assert_eq!(saga["business_key"], accepted["order_id"]);

    let history = host.get(&format!("/api/v1/sagas/{id}/history")).await.json();
    let first = &history["history"][0];
    assert_eq!(first["step_name"], "reserve_inventory");
    assert_eq!(first["status"], "running");
    assert_eq!(first["retry_attempt"], 0);
    assert!(first["started_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(history["events"], json!([]));
}

#[tokio::test]
async fn a_second_order_of_one_id_is_answered_with_the_first_saga() {
    let host = Host::start().await;
    let mut order = order();
    order["order_id"] = json!("order-1");
    let first = host.post("/api/v1/orders", &order).await.json();
    // Other white space and another order of fields are the same input.
    let again = format!(" {} ", serde_json::to_string_pretty(&order).unwrap());
    let second = host.post_raw("/api/v1/orders", "application/json; charset=utf-8", again).await;
    assert_eq!(second.status, 202, "{}", second.text);
    assert_eq!(second.json(), first);

    order["customer_id"] = json!("somebody else");
    let problem = host.post("/api/v1/orders", &order).await.problem(409);
    assert_eq!(problem["type"], "urn:wasaga:problem:key-taken");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("order-1") && detail.contains(first["saga_id"].as_str().unwrap()));
}

#[tokio::test]
async fn a_saga_is_started_by_its_definitions_name() {
    let host = Host::start().await;
    let start =
        json!({ "definition": "order", "version": 1, "business_key": "k", "input": order() });
    let answer = host.post("/api/v1/sagas", &start).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(answer.json()["business_key"], "k");
    assert_eq!(host.post("/api/v1/sagas", &start).await.json(), answer.json());

    let without_key = json!({ "definition": "order", "input": order() });
    let one = host.post("/api/v1/sagas", &without_key).await.json();
    let other = host.post("/api/v1/sagas", &without_key).await.json();
    assert_eq!(one["business_key"], Value::Null);
    assert_ne!(one["saga_id"], other["saga_id"]);
}

#[tokio::test]
async fn cancel_and_resume_are_posted_and_refused_at_the_end() {
    let host = Host::start().await;
    let started = host.post("/api/v1/orders", &order()).await.json();
    let path = format!("/api/v1/sagas/{}", started["saga_id"].as_str().unwrap());
    let cancelled = host.post(&format!("{path}/cancel"), &json!({ "reason": "by hand" })).await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    assert_eq!(cancelled.json(), json!({ "saga_id": started["saga_id"], "status": "pending" }));
    let resumed = host.post_raw(&format!("{path}/resume"), "", "").await;
    assert_eq!(resumed.status, 202, "{}", resumed.text);

    let unknown = format!("/api/v1/sagas/{}/cancel", Uuid::nil());
    assert_eq!(
        host.post_raw(&unknown, "", "").await.problem(404)["type"],
        "urn:wasaga:problem:unknown-saga"
    );
}
