//! Finding sagas, and asking many at once.

use serde_json::{Value, json};

use crate::host::Host;

/// So many orders, of customers `c-0`, `c-1`, …; each an hour older than the one before.
async fn orders(host: &Host, count: usize) {
    for n in 0..count {
        let order =
            json!({ "order_id": format!("o-{n}"), "customer_id": format!("c-{n}"), "items": [] });
        assert_eq!(host.post("/api/v1/orders", &order).await.status, 202);
        host.database
            .run(&format!(
                "update wasaga.sagas set created_at = now() - {n} * interval '1 hour'
                 where business_key = 'o-{n}'"
            ))
            .await;
    }
}

async fn set(host: &Host, key: &str, status: &str) {
    host.database
        .run(&format!(
            "update wasaga.sagas set status = '{status}', host_id = null where business_key = '{key}'"
        ))
        .await;
}

fn keys(page: &Value) -> Vec<&str> {
    let sagas = page["sagas"].as_array().unwrap().iter();
    sagas.map(|saga| saga["business_key"].as_str().unwrap()).collect()
}

/// What was asked, as the mail has it: business key, verb and reason.
async fn asked(host: &Host) -> Vec<String> {
    let texts = host.database.texts(
        "select s.business_key || ' ' || (m.content ->> 'verb') || ' ' || (m.content #>> '{by,by}')
         from wasaga.mail m join wasaga.sagas s on s.id = m.saga_id order by s.business_key, m.number",
    );
    texts.await.into_iter().flatten().collect()
}

#[tokio::test]
async fn sagas_are_listed_newest_first_page_by_page() {
    let host = Host::start().await;
    orders(&host, 5).await;
    let first = host.get("/api/v1/sagas?limit=3").await.json();
    assert_eq!(keys(&first), ["o-0", "o-1", "o-2"]);
    assert_eq!(first["sagas"][0]["status"], "pending");
    assert_eq!(first["sagas"][0]["definition"], "order");
    let next = first["next"].as_str().unwrap();
    let second = host.get(&format!("/api/v1/sagas?limit=3&after={next}")).await.json();
    assert_eq!((keys(&second), &second["next"]), (vec!["o-3", "o-4"], &Value::Null));
}

#[tokio::test]
async fn sagas_are_found_by_what_they_are() {
    let host = Host::start().await;
    orders(&host, 4).await;
    set(&host, "o-1", "needs_attention").await;
    set(&host, "o-3", "completed").await;
    for (query, expected) in [
        ("status=needs_attention", vec!["o-1"]),
        ("status=pending,completed", vec!["o-0", "o-2", "o-3"]),
        ("definition=order&business_key=o-2", vec!["o-2"]),
        ("definition=refund", vec![]),
        ("older_than=90m", vec!["o-2", "o-3"]),
        ("input./customer_id=c-2", vec!["o-2"]),
        ("input./customer_id=c-2&status=completed", vec![]),
        ("step=pay", vec![]),
    ] {
        let page = host.get(&format!("/api/v1/sagas?{query}")).await.json();
        assert_eq!(keys(&page), expected, "{query}");
    }
    for query in [
        "stauts=pending",
        "status=done",
        "limit=0",
        "limit=501",
        "after=x",
        "older_than=1",
        "all=true",
    ] {
        let problem = host.get(&format!("/api/v1/sagas?{query}")).await.problem(400);
        assert_eq!(problem["type"], "urn:wasaga:problem:bad-parameter", "{query}");
    }
}

#[tokio::test]
async fn many_are_asked_by_filter_and_a_dry_run_asks_nobody() {
    let host = Host::start().await;
    orders(&host, 4).await;
    set(&host, "o-1", "completed").await;
    host.database
        .run("update wasaga.sagas set state = state || '{\"pivoted\": true}' where business_key = 'o-2'")
        .await;
    let by = json!({ "by": "ada", "reason": "the warehouse burns" });
    let path = "/api/v1/sagas/bulk/cancel?definition=order";
    let dry = host.post(&format!("{path}&dry_run=true"), &by).await;
    let expected =
        json!({ "verb": "cancel", "dry_run": true, "matched": 3, "asked": 0, "next": null });
    assert_eq!((dry.status, dry.json()), (200, expected));
    assert_eq!(asked(&host).await, [""; 0]);
    let done = host.post(path, &by).await.json();
    assert_eq!(
        done,
        json!({ "verb": "cancel", "dry_run": false, "matched": 3, "asked": 2, "next": null })
    );
    assert_eq!(asked(&host).await, ["o-0 cancel ada", "o-3 cancel ada"]);
}

#[tokio::test]
async fn each_verb_reaches_those_for_whom_it_is_meant() {
    let host = Host::start().await;
    orders(&host, 4).await;
    for (key, status) in
        [("o-0", "waiting"), ("o-1", "paused"), ("o-2", "needs_attention"), ("o-3", "failed")]
    {
        set(&host, key, status).await;
    }
    for (verb, matched) in [("cancel", 3), ("pause", 1), ("resume", 2), ("resolve", 1)] {
        let path = format!("/api/v1/sagas/bulk/{verb}?all=true&dry_run=true");
        let answer = host.post_raw(&path, "", "").await.json();
        assert_eq!(answer["matched"], matched, "{verb}: {answer}");
    }
    let path = "/api/v1/sagas/bulk/resume?status=waiting&dry_run=true";
    assert_eq!(host.post_raw(path, "", "").await.json()["matched"], 1);
}

#[tokio::test]
async fn what_would_reach_too_much_or_nothing_is_refused() {
    let host = Host::start().await;
    orders(&host, 1).await;
    for (path, says) in [
        ("cancel", "all=true"),
        ("cancel?dry_run=true", "all=true"),
        ("cancel?all=yes", "neither true nor false"),
        ("cancel?status=completed", "have ended"),
        ("cancel?statsu=pending", "unknown"),
        ("cancel?definition=order&limit=1", "unknown"),
        ("retry?definition=order", "name the step"),
    ] {
        let problem =
            host.post_raw(&format!("/api/v1/sagas/bulk/{path}"), "", "").await.problem(400);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{path}: {problem}");
    }
    host.post_raw("/api/v1/sagas/bulk/skip?all=true", "", "").await.problem(404);
    host.post("/api/v1/sagas/bulk/cancel?all=true", &json!({ "undo": 1 })).await.problem(422);
    assert_eq!(asked(&host).await, [""; 0]);
}
