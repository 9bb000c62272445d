//! Modules are pushed, made active, taken back and ended over the API, and all of it is told.

use serde_json::{Value, json};
use wasaga_domain::ids::Digest;

use crate::host::Host;

const PLUGINS: &str = "/api/v1/plugins";

fn manifest(version: &str, steps: &[&str]) -> String {
    manifest_of("shop", version, steps)
}

fn manifest_of(plugin: &str, version: &str, steps: &[&str]) -> String {
    let step = json!({ "name": "reserve", "timeout_ms": 1000, "retry": { "never": {} } });
    json!({
        "name": plugin, "version": version, "steps": steps,
        "sagas": [{ "name": "basket", "version": 1, "steps": [step] }],
    })
    .to_string()
}

async fn push(host: &Host, query: &str, version: &str) -> Value {
    let body = manifest(version, &["reserve"]);
    let pushed = host.post_raw(&format!("{PLUGINS}{query}"), "application/wasm", body).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text);
    pushed.json()
}

async fn done(host: &Host, verb: &str, body: Value) -> Value {
    let answer = host.post(&format!("{PLUGINS}/shop/{verb}"), &body).await;
    assert_eq!(answer.status, 200, "{verb}: {}", answer.text);
    answer.json()
}

fn digest(version: &str) -> String {
    Digest::of(manifest(version, &["reserve"]).as_bytes()).to_string()
}

#[tokio::test]
async fn modules_are_pushed_activated_and_rolled_back() {
    let host = Host::start().await;
    let pushed = push(&host, "?by=ada&reason=first", "1.0.0").await;
    assert_eq!(
        (&pushed["plugin"], &pushed["version"], &pushed["digest"], &pushed["change"]),
        (&json!("shop"), &json!("1.0.0"), &json!(digest("1.0.0")), &json!("activated"))
    );
    let kept = push(&host, "?activate=false", "2.0.0").await;
    assert_eq!(kept["change"], "pushed");
    let activated =
        done(&host, "activate", json!({ "digest": digest("2.0.0"), "by": "bob" })).await;
    assert_eq!(activated["previous"], digest("1.0.0"));
    let back = done(&host, "rollback", json!({ "reason": "it is slow", "by": "eve" })).await;
    assert_eq!((&back["change"], &back["version"]), (&json!("rolled_back"), &json!("1.0.0")));

    let shop = host.get(&format!("{PLUGINS}/shop")).await.json();
    assert_eq!(shop["active"]["digest"], digest("1.0.0"));
    assert_eq!(shop["before"], Value::Null);
    assert_eq!(shop["modules"].as_array().map(Vec::len), Some(2));
    let told: Vec<_> = shop["history"].as_array().expect("a list").iter().collect();
    let told = told
        .iter()
        .map(|entry| json!([entry["what"], entry["version"], entry["by"], entry["reason"]]));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            json!(["rolled_back", "1.0.0", "eve", "it is slow"]),
            json!(["activated", "2.0.0", "bob", "activate over the API"]),
            json!(["pushed", "2.0.0", null, "push over the API"]),
            json!(["activated", "1.0.0", "ada", "first"]),
        ]
    );
    let none = host.post(&format!("{PLUGINS}/shop/rollback"), &json!({})).await;
    none.problem(422);
}

#[tokio::test]
async fn canaries_and_undo_come_and_go() {
    let host = Host::start().await;
    push(&host, "", "1.0.0").await;
    let query = "?canary=10&max_error_percent=2.5&min_calls=7&window=1m";
    assert_eq!(push(&host, query, "2.0.0").await["change"], "canary_started");
    let canary = host.get(&format!("{PLUGINS}/shop")).await.json()["canary"].clone();
    assert_eq!(canary["version"], "2.0.0");
    assert_eq!(
        canary["plan"],
        json!({ "percent": 10, "max_error_percent": 2.5, "min_calls": 7, "window_ms": 60_000 })
    );
    assert_eq!(done(&host, "end-canary", json!({})).await["change"], "canary_ended");
    host.post(&format!("{PLUGINS}/shop/end-canary"), &json!({})).await.problem(422);
    let again = json!({ "digest": digest("2.0.0"), "canary": { "percent": 20 } });
    assert_eq!(done(&host, "activate", again).await["change"], "canary_started");
    assert_eq!(done(&host, "promote", json!({})).await["change"], "canary_promoted");
    assert_eq!(push(&host, "?undo=true", "3.0.0").await["change"], "undo_taken_over");
    let shop = host.get(&format!("{PLUGINS}/shop")).await.json();
    assert_eq!(
        (&shop["active"]["version"], &shop["undo"]["version"]),
        (&json!("2.0.0"), &json!("3.0.0"))
    );
    assert_eq!(shop["canary"], Value::Null);
    assert_eq!(done(&host, "end-undo", json!({})).await["change"], "undo_ended");
}

#[tokio::test]
async fn the_list_of_plugins_shows_what_runs_beside_the_active_module() {
    let host = Host::start().await;
    let listed = async || host.get(PLUGINS).await.json()["plugins"][0].clone();
    let push = async |query: &str, version: &str| {
        let body = manifest_of("order-saga", version, &["reserve"]);
        let path = format!("{PLUGINS}{query}");
        let pushed = host.post_raw(&path, "application/wasm", body).await;
        assert_eq!(pushed.status, 201, "{}", pushed.text);
        pushed.json()["digest"].clone()
    };
    push("", "1.0.0").await;
    let alone = listed().await;
    assert_eq!(
        (&alone["name"], &alone["canary"], &alone["undo"]),
        (&json!("order-saga"), &Value::Null, &Value::Null)
    );

    let canary = push("?canary=10&min_calls=500", "2.0.0").await;
    let undo = push("?undo=true", "3.0.0").await;
    let counted =
        "select wasaga.canary_count('order-saga', id, 20, 3, 180, 1) from wasaga.canaries";
    host.database.run(counted).await;
    let beside = listed().await;
    assert_eq!(
        (&beside["canary"]["digest"], &beside["canary"]["version"]),
        (&canary, &json!("2.0.0"))
    );
    assert_eq!(beside["canary"]["plan"]["percent"], 10);
    assert_eq!(
        beside["canary"]["figures"],
        json!({ "calls": 20, "failures": 3, "active_calls": 180, "active_failures": 1 })
    );
    assert_eq!((&beside["undo"]["digest"], &beside["undo"]["version"]), (&undo, &json!("3.0.0")));
    let one = host.get(&format!("{PLUGINS}/order-saga")).await.json();
    assert_eq!((&one["canary"], &one["undo"]), (&beside["canary"], &beside["undo"]));

    push("", "4.0.0").await;
    assert_eq!(listed().await, alone, "an activation ends both");
}

#[tokio::test]
async fn sagas_that_a_change_touches_are_listed() {
    let host = Host::start().await;
    push(&host, "", "1.0.0").await;
    let mut ids = Vec::new();
    for key in ["a", "b", "c"] {
        let start = format!("select wasaga.start_saga('basket', '{key}', '{{}}')::text");
        ids.extend(host.database.texts(&start).await.remove(0));
    }
    let lacking = manifest("2.0.0", &[]);
    let refused = host.post_raw(PLUGINS, "application/wasm", lacking.clone()).await.problem(422);
    let why = refused["detail"].as_str().expect("a sentence");
    assert!(why.contains("has no step reserve, which 3 sagas in flight"), "{why}");
    assert!(ids.iter().all(|id| why.contains(id)), "{why}");
    let kept = host
        .post_raw(&format!("{PLUGINS}?activate=false"), "application/wasm", lacking.clone())
        .await;
    assert_eq!(kept.status, 201, "{}", kept.text);

    let module = Digest::of(lacking.as_bytes());
    let path = format!("{PLUGINS}/shop/sagas?digest={module}&limit=2");
    let page = host.get(&path).await.json();
    assert_eq!((&page["total"], &page["lacking"]), (&json!(3), &json!(3)));
    assert_eq!(
        page["counts"],
        json!([{ "definition": "basket", "version": 1, "status": "pending", "sagas": 3, "lacking": 3 }])
    );
    assert_eq!(page["sagas"].as_array().map(Vec::len), Some(2));
    assert_eq!(page["sagas"][0]["missing"], json!(["reserve"]));
    let next = page["next"].as_str().expect("another page");
    let rest = host.get(&format!("{path}&after={next}")).await.json();
    assert_eq!(rest["sagas"].as_array().map(Vec::len), Some(1));
    assert_eq!(rest["next"], Value::Null);

    let forced = host.post_raw(&format!("{PLUGINS}?force=true"), "application/wasm", lacking).await;
    assert_eq!(forced.status, 201, "{}", forced.text);
    let shop = host.get(&format!("{PLUGINS}/shop")).await.json();
    assert_eq!(shop["history"][0]["forced"], true);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let host = Host::start().await;
    push(&host, "", "1.0.0").await;
    for (query, told) in [
        ("?canary=0", "a canary takes 1 to 99"),
        ("?canary=ten", "not a number"),
        ("?min_calls=4", "say canary=PERCENT too"),
        ("?canary=5&activate=true", "say one of"),
        ("?canary=5&undo=true", "say one of"),
        ("?actvate=false", "unknown"),
    ] {
        let body = manifest("2.0.0", &["reserve"]);
        let refused = host.post_raw(&format!("{PLUGINS}{query}"), "application/wasm", body).await;
        let why = refused.problem(400)["detail"].to_string();
        assert!(why.contains(told), "{query}: {why}");
    }
    host.post_raw(PLUGINS, "application/wasm", "").await.problem(400);
    host.post_raw(PLUGINS, "application/wasm", "no component").await.problem(422);
    for (verb, body, status) in [
        ("activate", json!({}), 422),
        ("activate", json!({ "digest": "sha256:ab" }), 400),
        ("activate", json!({ "digest": Digest::of(b"none") }), 422),
        ("activate", json!({ "digest": digest("1.0.0"), "canary": { "percent": 5 } }), 422),
        ("rollback", json!({ "digest": digest("1.0.0") }), 422),
        ("end-undo", json!({ "force": true }), 422),
        ("explode", json!({}), 404),
    ] {
        host.post(&format!("{PLUGINS}/shop/{verb}"), &body).await.problem(status);
    }
    for path in ["no-such", "NO_NAME"] {
        host.get(&format!("{PLUGINS}/{path}")).await.problem(404);
        host.post(&format!("{PLUGINS}/{path}/rollback"), &json!({})).await.problem(404);
    }
    host.get(&format!("{PLUGINS}/shop/sagas?digest=7")).await.problem(400);
    host.post(&format!("{PLUGINS}/shop/sagas"), &json!({})).await.problem(405);
}

#[tokio::test]
async fn a_component_may_be_larger_than_another_body() {
    let host = Host::start().await;
    let long =
        manifest(&format!("1.0.0-{}", "x".repeat(2 * crate::host::BODY_LIMIT)), &["reserve"]);
    let pushed = host.post_raw(PLUGINS, "application/wasm", long).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text);
}
