//! Each bad request gets one clear problem, and starts nothing.

use axum::{body::Body, http::Request};
use serde_json::json;

use crate::host::{BODY_LIMIT, Host};

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    let host = Host::start().await;
    for path in ["/api/v1/orders", "/api/v1/sagas"] {
        let malformed = host.post_raw(path, "application/json", "{\"a\": ").await.problem(400);
        assert_eq!(malformed["type"], "urn:wasaga:problem:malformed-json");
        assert!(malformed["detail"].as_str().unwrap().contains("line 1"));
        assert_eq!(
            host.post_raw(path, "application/json", "").await.problem(400)["title"],
            "Malformed JSON"
        );
        host.post_raw(path, "text/plain", "{}").await.problem(415);
        let large = json!({ "x": "x".repeat(BODY_LIMIT) });
        assert_eq!(
            host.post(path, &large).await.problem(413)["type"],
            "urn:wasaga:problem:too-large"
        );
    }
    let problem = host.post("/api/v1/orders", &json!([1])).await.problem(422);
    assert_eq!(problem["detail"], "the body must be a JSON object");
}

#[tokio::test]
async fn each_misfit_is_named_by_its_pointer() {
    let host = Host::start().await;
    let order = json!({ "customer_id": 5, "items": [{ "quantity": "two" }] });
    let problem = host.post("/api/v1/orders", &order).await.problem(422);
    let pointers: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["/customer_id", "/items/0/quantity"]);

    let start = json!({ "definition": "order", "input": order });
    let problem = host.post("/api/v1/sagas", &start).await.problem(422);
    assert_eq!(problem["errors"][0]["pointer"], "/input/customer_id");

    let missing = host.post("/api/v1/orders", &json!({ "items": [] })).await.problem(422);
    assert!(missing["detail"].as_str().unwrap().contains("customer_id"), "{missing}");
}

#[tokio::test]
async fn keys_and_text_have_bounds() {
    let host = Host::start().await;
    for (key, says) in [
        (json!(5), "must be text"),
        (json!(""), "must not be empty"),
        (json!("x".repeat(501)), "at most 500"),
        (json!("a\0b"), "NUL"),
    ] {
        let order = json!({ "order_id": key, "customer_id": "c", "items": [] });
        let problem = host.post("/api/v1/orders", &order).await.problem(422);
        assert_eq!(problem["errors"][0]["pointer"], "/order_id", "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_said() {
    let host = Host::start().await;
    let problem = host.get("/api/v1/nothing").await.problem(404);
    assert!(problem["detail"].as_str().unwrap().contains("/api/v1/nothing"));
    assert_eq!(
        host.get("/api/v1/sagas/17").await.problem(400)["type"],
        "urn:wasaga:problem:bad-saga-id"
    );
    let wrong = host.get("/api/v1/orders").await;
    wrong.problem(405);
    assert_eq!(wrong.allow.as_deref(), Some("POST"));
    let delete = Request::delete("/api/v1/sagas").body(Body::empty()).unwrap();
    let wrong = host.call(delete).await;
    wrong.problem(405);
    assert_eq!(wrong.allow.as_deref(), Some("GET,HEAD,POST"));

    let start = json!({ "definition": "orders", "input": {} });
    let problem = host.post("/api/v1/sagas", &start).await.problem(422);
    assert!(problem["detail"].as_str().unwrap().contains("active: order"), "{problem}");
    let start = json!({ "definition": "order", "version": 2, "input": {} });
    host.post("/api/v1/sagas", &start).await.problem(422);
    let start = json!({ "definition": "order", "inptu": {} });
    let problem = host.post("/api/v1/sagas", &start).await.problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("inptu"), "{problem}");
}
