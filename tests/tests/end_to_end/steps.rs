//! What a step may do to its host, its database and its saga.

use std::time::Instant;

use serde_json::{Value, json};
use wasaga_tests::{PATIENCE, World, check::promises, eventually};

#[tokio::test]
async fn guests_are_contained() {
    let world = World::embedded(&["probe-rust"]).await;
    let mut host = world.host().set("definitions.probe.steps.b.timeout_ms", 300).start().await;
    let misdeeds = ["trap", "spin", "oom", "overflow"].map(|does| json!({"do": does}));
    let huge = json!({"do": "big_output", "bytes": 200 << 20});
    let scripts: Vec<_> =
        misdeeds.into_iter().chain([huge]).map(|does| json!({"steps": {"b": [does]}})).collect();
    let bad = host.api.probes(&scripts).await;
    let good = host.api.probes(&vec![json!({}); 50]).await;

    for saga in &good {
        host.api.reaches(saga, "completed").await;
    }
    for saga in &bad {
        // A guest that reaches nothing outside did nothing: only the step before it is undone.
        host.api.reaches(saga, "compensated").await;
        assert_eq!(
            world.journal(saga).await,
            [
                "a succeeded",
                "b retrying",
                "b retrying",
                "b failed",
                "undoing",
                "undo a succeeded",
                "compensated",
            ]
        );
    }
    host.ready().await;
    promises(&world).await;
}

#[tokio::test]
async fn a_guests_sql_is_committed_with_its_step_or_not_at_all() {
    let world = World::embedded(&["probe-sql-rust"]).await;
    let host = world.host().start().await;
    let marks = |note: &str, then: Value| {
        let insert = format!("insert into marks (note) values ('{note}')");
        json!({"do": "sql", "execute": [insert], "then": then})
    };
    let script = json!({"steps": {
        "a": [marks("kept", json!({"do": "done"}))],
        // The first attempt fails after its insert, the second one finds nothing of it.
        "b": [
            marks("tried", json!({"do": "retryable"})),
            marks("tried", json!({"do": "done"})),
        ],
        "c": [marks("dropped", json!({"do": "permanent"}))],
    }});
    let start = json!({"definition": "probe-sql", "input": script});
    let saga = host.api.post("/api/v1/sagas", &start).await.saga();
    host.api.reaches(&saga, "compensated").await;
    let notes = "select note from plugin_probe_sql.marks order by note";
    assert_eq!(world.texts(notes).await, ["kept", "tried"]);
    promises(&world).await;
}

#[tokio::test]
async fn resume_makes_a_saga_due_now() {
    let world = World::embedded(&["probe-rust"]).await;
    let key = "definitions.probe.steps.a.retry";
    let retry = "{ fixed = { delay_ms = 600000, max_attempts = 2 } }";
    let host = world.host().set(key, retry).start().await;
    let script = json!({"steps": {"a": [{"do": "retryable"}, {"do": "done"}]}});
    let saga = host.api.probe(&script).await;
    eventually("the first attempt has failed", PATIENCE, async || {
        (world.journal(&saga).await == ["a retrying"]).then_some(())
    })
    .await;

    let began = Instant::now();
    assert_eq!(host.api.resume(&saga).await.status, 202);
    host.api.reaches(&saga, "completed").await;
    assert!(began.elapsed() < PATIENCE);
    assert_eq!(
        world.journal(&saga).await,
        ["a retrying", "resumed", "a succeeded", "b succeeded", "c succeeded", "completed"]
    );
    promises(&world).await;
}
