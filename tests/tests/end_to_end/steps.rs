//! What a step may do to its host, its database and its saga.

use std::time::Instant;

use serde_json::{Value, json};
use wasaga_tests::{PATIENCE, Record, World, check::promises, eventually};

const NO_RETRY: &str = "{ fixed = { delay_ms = 1, max_attempts = 1 } }";

#[tokio::test]
async fn guests_are_contained() {
    let world = World::embedded(&["probe-rust"]).await;
    let limits = "{ memory_bytes = 16777216, host_calls = 10000 }";
    let mut host = world
        .host()
        .set("definitions.probe.steps.b.timeout_ms", 2000)
        .set("plugins.guest_limits", limits)
        .start()
        .await;
    // What step b does, the code of its failure, and what that names.
    let misdeeds = [
        (json!({"do": "trap"}), "trap", "the script says so"),
        (json!({"do": "spin"}), "timeout", "did not end by the attempt's deadline"),
        (json!({"do": "oom"}), "limit", "out of memory: limit 16777216 bytes"),
        (json!({"do": "overflow"}), "limit", "its stack is full: limit 524288 bytes"),
        (json!({"do": "big_output", "bytes": 10 << 20}), "limit", "limit 4194304 bytes"),
        (json!({"do": "big_output", "bytes": 100 << 20}), "limit", "out of memory"),
        (json!({"do": "effects", "count": 100_000}), "limit", "limit"),
        (json!({"do": "effects", "count": 1_001}), "limit", "1001 effects: limit 1000"),
        (json!({"do": "ask_time", "times": 10_001}), "limit", "calls of the host: limit 10000"),
        (
            json!({"do": "ask_random", "bytes": 65_537}),
            "limit",
            "(plugins.guest_limits.random_bytes)",
        ),
    ];
    let scripts: Vec<_> =
        misdeeds.iter().map(|(does, ..)| json!({"steps": {"b": [does]}})).collect();
    let bad = host.api.probes(&scripts).await;
    let flood = json!({"do": "log", "lines": 5_000, "bytes": 10_000});
    let good = [vec![json!({"steps": {"b": [flood]}})], vec![json!({}); 50]].concat();
    let good = host.api.probes(&good).await;

    for saga in &good {
        host.api.reaches(saga, "completed").await;
    }
    host.logged("its further lines are dropped: limit 100 (plugins.guest_limits.log_lines)").await;
    host.logged("1808 more bytes: limit 8192 bytes (plugins.guest_limits.log_line_bytes)").await;
    for (saga, (_, code, names)) in bad.iter().zip(&misdeeds) {
        // A guest that reaches nothing outside did nothing: only the step before it is undone.
        let ended = host.api.reaches(saga, "compensated").await;
        assert_eq!(ended["error"]["code"], *code, "{ended}");
        let message = ended["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(names), "{message}");
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
async fn a_trap_in_any_export_of_steps_is_an_attempt_that_failed() {
    let world = World::embedded(&["probe-rust"]).await;
    let mut host = world.host().set("flows.in_retry", NO_RETRY).start().await;
    let trap = json!({"do": "trap"});
    let sleeps = json!({"do": "wait", "timeout_ms": 1, "timed_out": trap});
    let sagas = host
        .api
        .probes(&[
            json!({"guards": {"b": ["trap"]}}),
            json!({"steps": {"b": [trap]}}),
            json!({"steps": {"b": [sleeps]}}),
            json!({"steps": {"b": [{"do": "permanent"}]}, "undo": {"a": [trap]}}),
        ])
        .await;
    world.produce(&[Record::new("probe.tasks", "k", &json!({"attempts": [trap]}))]).await;
    for (saga, status) in
        sagas.iter().zip(["compensated", "compensated", "compensated", "needs_attention"])
    {
        host.api.reaches(saga, status).await;
    }
    let letter = "select count(*) from wasaga.dead_letter_in where reason ->> 'code' = 'trap'";
    eventually("the task's message is a dead letter", PATIENCE, async || {
        (world.number(letter).await == 1).then_some(())
    })
    .await;
    host.ready().await;
    let good = host.api.probe(&json!({})).await;
    host.api.reaches(&good, "completed").await;
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
async fn what_a_guest_logs_stays_with_its_attempt() {
    let world = World::embedded(&["probe-rust"]).await;
    let host = world.host().set("log.format", "\"json\"").start().await;
    let says = |text: &str| json!({"do": "imports", "message": text});
    let script = json!({"steps": {"a": [says("of a")], "b": [{"do": "trap"}, says("of b")]}});
    let saga = host.api.probe(&script).await;
    let task = json!({"attempts": [{"do": "log", "lines": 1, "bytes": 5}]});
    world.produce(&[Record::new("probe.tasks", "k", &task)]).await;
    host.api.reaches(&saga, "completed").await;
    for (message, subject) in [
        ("of a", json!([saga, "a", 1])),
        ("execute: ", json!([saga, "b", 1])),
        ("of b", json!([saga, "b", 2])),
        ("xxxxx", json!([null, null, 1])),
    ] {
        let line = host.logged(&format!("\"message\":\"{message}")).await;
        let line: Value = serde_json::from_str(&line).expect("a line is an object");
        assert_eq!((&line["target"], &line["plugin"]), (&json!("guest"), &json!("probe")));
        assert_eq!(json!([line["saga"], line["step"], line["attempt"]]), subject, "{line}");
        assert_eq!(line["task"].is_null(), subject[0] == json!(saga), "{line}");
    }
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
