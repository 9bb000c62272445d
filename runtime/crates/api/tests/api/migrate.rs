//! Sagas in flight are asked to move to another version of their definition, and those that cannot are named.

use serde_json::json;
use wasaga_domain::ids::SagaId;

use crate::host::Host;

const PATH: &str = "/api/v1/sagas/bulk/migrate?definition=order";

/// Sagas "free", "stuck", "over", which has ended, and "new", which is of version 2.
async fn sagas(host: &Host) {
    for key in ["free", "stuck", "over", "new"] {
        let order = json!({ "order_id": key, "customer_id": "c", "items": [] });
        assert_eq!(host.post("/api/v1/orders", &order).await.status, 202);
    }
    host.database
        .run(
            "update wasaga.sagas set status = 'failed', host_id = null where business_key = 'over';
             update wasaga.sagas set version = 2 where business_key = 'new'",
        )
        .await;
}

async fn mail(host: &Host) -> Vec<String> {
    let mail = host.database.texts("select content::text from wasaga.mail order by number");
    mail.await.into_iter().flatten().collect()
}

#[tokio::test]
async fn those_that_can_are_asked_and_the_others_named() {
    let host = Host::start().await;
    sagas(&host).await;
    let stuck = SagaId::derived("order", "stuck");
    let body = json!({ "to": 2, "map": { "reserve_inventory": "reserve" }, "by": "ada", "reason": "new flow" });
    let dry = host.post(&format!("{PATH}&dry_run=true"), &body).await;
    let refused = json!([{ "saga_id": stuck, "version": 1, "reasons": ["its step is done"] }]);
    assert_eq!(
        dry.json(),
        json!({ "dry_run": true, "matched": 2, "asked": 0, "refused": refused, "next": null }),
        "{}",
        dry.text
    );
    assert_eq!(mail(&host).await, [""; 0]);
    let done = host.post(PATH, &body).await.json();
    assert_eq!(
        done,
        json!({ "dry_run": false, "matched": 2, "asked": 1, "refused": refused, "next": null })
    );
    let [asked] = &mail(&host).await[..] else { panic!("one is asked") };
    let asked: serde_json::Value = serde_json::from_str(asked).unwrap();
    let verb = json!({ "migrate": { "to": 2, "map": { "reserve_inventory": "reserve" } } });
    assert_eq!(asked, json!({ "verb": verb, "by": { "by": "ada", "reason": "new flow" } }));

    for (query, matched) in [
        (format!("id={stuck}"), 1),
        (format!("id={stuck},{}", SagaId::derived("order", "free")), 2),
        (format!("id={stuck}&business_key=free"), 0),
        ("version=1".to_owned(), 2),
        ("version=2".to_owned(), 0),
        ("status=paused".to_owned(), 0),
    ] {
        let answer = host.post(&format!("{PATH}&dry_run=true&{query}"), &json!({ "to": 2 })).await;
        assert_eq!(answer.json()["matched"], matched, "{query}: {}", answer.text);
    }
    let back = host.post(&format!("{PATH}&dry_run=true"), &json!({ "to": 1 })).await.json();
    assert_eq!(back["matched"], 1, "the one of version 2");
}

#[tokio::test]
async fn what_says_too_little_is_refused() {
    let host = Host::start().await;
    sagas(&host).await;
    for (path, body, status, says) in [
        ("/api/v1/sagas/bulk/migrate", json!({ "to": 2 }), 400, "name the definition"),
        (PATH, json!({}), 400, "missing field `to`"),
        (PATH, json!({ "to": 2, "mpa": {} }), 400, "unknown field `mpa`"),
        (PATH, json!({ "to": 9 }), 422, "there is no version 9"),
    ] {
        let problem = host.post(path, &body).await.problem(status);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    for (query, says) in
        [("version=0", "no version"), ("id=x", "not a UUID"), ("status=failed", "have ended")]
    {
        let problem = host.post(&format!("{PATH}&{query}"), &json!({ "to": 2 })).await.problem(400);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    assert_eq!(mail(&host).await, [""; 0]);
}
