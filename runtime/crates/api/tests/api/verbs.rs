//! What an operator asks of one saga is posted as it was said, or refused with the reason.

use serde_json::{Value, json};

use crate::host::Host;

/// An order, and the path of its saga.
async fn order(host: &Host) -> String {
    let order = json!({ "order_id": "o-1", "customer_id": "c", "items": [] });
    let started = host.post("/api/v1/orders", &order).await.json();
    host.database
        .run(
            "insert into wasaga.modules (digest, plugin, version, manifest, bytes)
             values (sha256('m'), 'order-saga', '1', '{}', '');
             insert into wasaga.definitions (name, version, plugin, content, digest)
             values ('order', 1, 'order-saga', '{\"steps\": [{\"name\": \"reserve_inventory\"}]}', sha256('m'))",
        )
        .await;
    format!("/api/v1/sagas/{}", started["saga_id"].as_str().unwrap())
}

async fn mail(host: &Host) -> Vec<Value> {
    let mail = host.database.texts(
        "select json_build_object('kind', kind, 'name', correlation, 'content', content)::text
         from wasaga.mail order by number",
    );
    let parse = |text: Option<String>| serde_json::from_str(&text.unwrap()).unwrap();
    mail.await.into_iter().map(parse).collect()
}

#[tokio::test]
async fn each_is_posted_with_who_asks_and_why() {
    let host = Host::start().await;
    let saga = order(&host).await;
    let said = json!({ "by": "ada", "reason": "I looked" });
    let with_undo = json!({ "by": "ada", "reason": "I looked", "undo": { "id": 7 } });
    for (path, body) in [
        ("cancel", &said),
        ("pause", &said),
        ("resume", &said),
        ("resolve", &said),
        ("steps/reserve_inventory/retry", &said),
        ("steps/reserve_inventory/skip", &said),
        ("steps/reserve_inventory/supply-undo", &with_undo),
        ("signals/approved", &json!({ "limit": 5 })),
    ] {
        let answer = host.post(&format!("{saga}/{path}"), body).await;
        assert_eq!((answer.status, &answer.json()["status"]), (202, &json!("pending")), "{path}");
    }
    let mail = mail(&host).await;
    let verbs: Vec<_> =
        mail[..4].iter().map(|mail| mail["content"]["verb"].as_str().unwrap()).collect();
    assert_eq!(verbs, ["cancel", "pause", "resume", "resolve"]);
    for mail in &mail[..7] {
        assert_eq!(mail["content"]["by"], json!({ "by": "ada", "reason": "I looked" }), "{mail}");
    }
    let step = json!({ "step": "reserve_inventory" });
    assert_eq!(mail[4]["content"]["verb"]["retry"], step);
    assert_eq!(mail[5]["content"]["verb"]["skip"], step);
    assert_eq!(mail[6]["content"]["verb"]["supply_undo"]["step"], "reserve_inventory");
    assert_eq!((&mail[7]["kind"], &mail[7]["name"]), (&json!("signal"), &json!("approved")));
}

#[tokio::test]
async fn who_says_nothing_is_told_apart_by_the_verb() {
    let host = Host::start().await;
    let saga = order(&host).await;
    assert_eq!(host.post_raw(&format!("{saga}/pause"), "", "").await.status, 202);
    assert_eq!(host.post_raw(&format!("{saga}/signals/go"), "", "").await.status, 202);
    assert_eq!(mail(&host).await[0]["content"]["by"], json!({ "reason": "pause over the API" }));
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let host = Host::start().await;
    let saga = order(&host).await;
    let post = async |path: &str, body: Value| host.post(&format!("{saga}/{path}"), &body).await;
    let long = "x".repeat(1001);
    for (path, body, status, kind) in [
        ("explode", json!({}), 404, "unknown-route"),
        ("steps/reserve_inventory/explode", json!({}), 404, "unknown-route"),
        ("steps/pay/retry", json!({}), 404, "unknown-step"),
        ("pause", json!({ "reason": long }), 422, "invalid-input"),
        ("pause", json!({ "by": long }), 422, "invalid-input"),
        ("pause", json!({ "undo": 1 }), 422, "invalid-input"),
        ("pause", json!({ "raeson": "" }), 400, "malformed-json"),
        ("steps/reserve_inventory/skip", json!({ "undo": 1 }), 422, "invalid-input"),
        ("steps/reserve_inventory/supply-undo", json!({}), 422, "invalid-input"),
    ] {
        let problem = post(path, body).await.problem(status);
        assert_eq!(problem["type"], format!("urn:wasaga:problem:{kind}"), "{path}: {problem}");
    }
    assert_eq!(post(&format!("signals/{long}"), json!(1)).await.status, 422);

    host.database.run("update wasaga.sagas set state = state || '{\"pivoted\": true}'").await;
    let refused = post("cancel", json!({})).await.problem(409);
    assert_eq!(refused["type"], "urn:wasaga:problem:past-pivot");
    assert_eq!(post("pause", json!({})).await.status, 202);

    host.database.run("update wasaga.sagas set status = 'completed', host_id = null").await;
    for path in
        ["cancel", "pause", "resume", "resolve", "signals/go", "steps/reserve_inventory/skip"]
    {
        let ended = post(path, json!({})).await.problem(409);
        assert_eq!(ended["type"], "urn:wasaga:problem:final-saga", "{path}");
    }
    assert_eq!(mail(&host).await.len(), 1);
}
