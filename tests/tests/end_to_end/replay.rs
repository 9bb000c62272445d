//! Shadow replay: what a module would have done with what sagas were told, without a trace.

use serde_json::{Value, json};
use wasaga_tests::{Host, PATIENCE, World, check::promises};

use crate::swaps::file_of;

/// Replays, and answers with whether nothing differs and what was printed.
async fn replay(host: &Host, arguments: &[&str]) -> (bool, Value) {
    let ran = host.run(&[&["plugins", "replay", "--json"], arguments].concat()).await;
    let printed = serde_json::from_slice(&ran.stdout);
    let said = String::from_utf8_lossy(&ran.stderr);
    (ran.status.success(), printed.unwrap_or_else(|_| panic!("no JSON: {said}")))
}

/// How much there is that a call may leave behind.
async fn traces(world: &World) -> Vec<Value> {
    world
        .rows(
            "select (select count(*) from wasaga.sagas) as sagas, (select count(*) from wasaga.journal) as journal,
                 (select count(*) from wasaga.task_out) as outbox, (select count(*) from wasaga.mail) as mail,
                 (select count(*) from wasaga.modules) as modules, (select count(*) from wasaga.http_record) as requests",
        )
        .await
}

#[tokio::test]
async fn a_candidate_is_tried_on_what_has_been() {
    let world = World::embedded(&["probe-rust"]).await;
    let host = world.host().start().await;
    let plain = host.api.probe(&json!({})).await;
    let ambient = json!({"steps": {"a": [{"do": "imports", "message": "hello"}]}});
    let ambient = host.api.probe(&ambient).await;
    let waiting = host
        .api
        .probe(&json!({"steps": {
            "a": [{"do": "wait", "signals": ["go"], "timeout_ms": 120_000}],
            "b": [{"do": "wait", "timeout_ms": 20}],
        }}))
        .await;
    let undone = host
        .api
        .probe(&json!({
            "steps": {"a": [{"do": "retryable"}, {"do": "done", "undo": 7}], "b": [{"do": "permanent"}]},
            "undo": {"a": [{"do": "retryable"}]},
        }))
        .await;
    host.api.waits_in(&waiting, "a").await;
    host.api.signal(&waiting, "go", &json!({"by": "ada"})).await;
    for saga in [&plain, &ambient, &waiting] {
        host.api.reaches(saga, "completed").await;
    }
    host.api.reaches(&undone, "needs_attention").await;
    let before = traces(&world).await;

    let (alike, told) = replay(&host, &[&file_of("probe-rust")]).await;
    assert!(alike, "{told:#}");
    // Three of each of the first two, and of the others two retries, an undo with three attempts, two waits and their ends.
    assert_eq!(json!([told["sagas"], told["attempts"], told["left_out"]]), json!([4, 17, []]));
    // The module that ran is told of another chance than it was then, and of no other signal.
    assert_eq!(told["drifted"], 1, "{told:#}");

    let (alike, told) = replay(&host, &[&file_of("probe-v2-rust")]).await;
    assert!(!alike);
    let differing = told["differing"].as_array().expect("a list");
    let of = |saga: &str| {
        let of_saga = differing.iter().filter(|attempt| attempt["saga_id"] == saga);
        of_saga.map(|attempt| attempt["step"].as_str().expect("a step")).collect::<Vec<_>>()
    };
    assert_eq!((of(&plain), of(&ambient)), (vec!["a", "b", "c"], vec!["b", "c"]));
    assert_eq!((of(&waiting), of(&undone)), (vec!["a", "b", "c"], vec![]));
    let first = differing.iter().find(|attempt| attempt["saga_id"] == plain.as_str());
    let output = &first.expect("it differs")["differences"][0];
    assert_eq!(
        json!([output["what"], output["was"]["version"], output["is"]["version"]]),
        json!(["output", "0.1.0", "2.0.0"])
    );
    let (_, one) = replay(&host, &[&file_of("probe-v2-rust"), "--saga", &waiting]).await;
    assert_eq!(json!([one["sagas"], one["attempts"]]), json!([1, 5]));

    assert_eq!(traces(&world).await, before);
    assert_eq!(host.api.plugin("probe").await.expect("active")["version"], "0.1.0");
    let foreign = host.cli_fails(&["plugins", "replay", &file_of("greeting-rust")]).await;
    assert!(foreign.contains("no saga has calls of plugin greeting"), "{foreign}");
    host.cli(&["saga", "resolve", &undone, "--reason", "it was a test"]).await;
    host.api.reaches(&undone, "failed").await;
    promises(&world).await;
}

#[tokio::test]
async fn sql_is_taken_back_and_requests_are_answered_from_the_record() {
    let world = World::embedded(&["probe-rust", "probe-sql-rust", "probe-http-rust"]).await;
    let host = world.host().set("plugins.probe-http.record_http", true).start().await;
    let start = async |definition: &str, action: Value| {
        let input = json!({"steps": {"a": [action]}});
        let saga = host.api.start(definition, "1", &input).await;
        host.api.reaches(&saga, "completed").await
    };
    let marked = start(
        "probe-sql",
        json!({
            "do": "sql", "execute": ["insert into marks select 'n' || count(*) from marks"],
            "query": "select count(*) from marks", "strict": true,
        }),
    )
    .await;
    assert_eq!(marked["outputs"]["a"]["touched"], json!([1]));
    let asked = start(
        "probe-http",
        json!({
            "do": "http", "method": "POST", "url": host.api.url("/api/v1/sagas"), "strict": true,
            "headers": {"content-type": "application/json"}, "body": r#"{"definition": "probe", "input": {}}"#,
        }),
    )
    .await;
    assert_eq!(asked["outputs"]["a"]["status"], 202, "{asked:#}");
    world.all_end().await;
    let before = traces(&world).await;
    assert_eq!(before[0]["requests"], 1);

    // Each module sees the row that is there and its own, and not the other's.
    let (alike, told) = replay(&host, &[&file_of("probe-sql-rust")]).await;
    assert!(alike, "{told:#}");
    assert_eq!(json!([told["attempts"], told["drifted"]]), json!([3, 1]));
    let (alike, told) = replay(&host, &[&file_of("probe-http-rust")]).await;
    assert!(alike, "{told:#}");
    assert_eq!(json!([told["attempts"], told["drifted"]]), json!([3, 0]));
    assert_eq!(traces(&world).await, before);
    assert_eq!(world.number("select count(*) from plugin_probe_sql.marks").await, 1);

    // Without a record nobody answers, and nothing is sent.
    world.run("delete from wasaga.http_record").await;
    let (alike, told) = replay(&host, &[&file_of("probe-http-rust")]).await;
    assert!(alike, "{told:#}");
    assert_eq!(told["drifted"], 1, "{told:#}");
    assert_eq!(world.number("select count(*) from wasaga.sagas").await, before[0]["sagas"]);
    promises(&world).await;
    host.stop(PATIENCE).await;
}
