//! What all hosts run of a plugin is changed, and taken back: by files, by the command line, and by a canary's failures.

use serde_json::{Value, json};
use wasaga_tests::{Api, PATIENCE, World, bytes_of, check::promises, eventually};

/// A component of plugins/, as its author has built it.
pub fn file_of(name: &str) -> String {
    let built = std::env::var("WASAGA_TEST_PLUGINS").expect("`cargo xtask test` sets it");
    format!("{built}/{name}.wasm")
}

async fn runs(api: &Api, version: &str) {
    eventually(format!("probe {version} is active"), PATIENCE, async || {
        api.plugin("probe").await.filter(|plugin| plugin["version"] == version)
    })
    .await;
}

async fn history(api: &Api) -> Vec<Value> {
    let probe = api.get("/api/v1/plugins/probe").await.ok();
    probe["history"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_roll_back_outlives_files_and_restarts() {
    let world = World::embedded(&["probe-rust"]).await;
    let (one, two) = (world.host().start().await, world.host().start().await);
    world.plugins.put("probe-rust", &bytes_of("probe-v2-rust"));
    runs(&one.api, "2.0.0").await;
    runs(&two.api, "2.0.0").await;
    let wait = json!({"steps": {"b": [{"do": "wait", "signals": ["go"], "timeout_ms": 120_000}]}});
    let saga = one.api.probe(&wait).await;
    one.api.waits_in(&saga, "b").await;
    let touched = two.api.get("/api/v1/plugins/probe/sagas").await.ok();
    assert_eq!((&touched["total"], &touched["sagas"][0]["saga_id"]), (&json!(1), &json!(saga)));
    assert_eq!(touched["sagas"][0]["current"], json!(["b"]));

    two.cli(&["plugins", "rollback", "probe", "--by", "grace", "--reason", "it is slow"]).await;
    runs(&one.api, "0.1.0").await;
    runs(&two.api, "0.1.0").await;
    one.stop(PATIENCE).await;
    let one = world.host().start().await;
    runs(&one.api, "0.1.0").await;
    let held = one.api.rejects("probe-rust.wasm").await;
    assert!(
        held.contains("activated by file") && held.contains("not the active one now"),
        "{held}"
    );
    let told = history(&one.api).await;
    assert_eq!(
        json!([told[0]["what"], told[0]["by"], told[0]["reason"], told[1]["what"]]),
        json!(["rolled_back", "grace", "it is slow", "activated"])
    );

    one.api.signal(&saga, "go", &json!({})).await;
    let saga = one.api.reaches(&saga, "completed").await;
    assert_eq!(
        (&saga["outputs"]["a"]["version"], &saga["outputs"]["c"]["version"]),
        (&json!("2.0.0"), &json!("0.1.0"))
    );
    promises(&world).await;
}

#[tokio::test]
async fn a_canary_that_fails_is_rolled_back_by_itself() {
    let world = World::embedded(&["probe-rust"]).await;
    let (one, two) = (world.host().start().await, world.host().start().await);
    let canary = ["--canary", "50", "--min-calls", "20", "--max-errors", "10"];
    let file = file_of("probe-v2-rust");
    let push = ["plugins", "push", &file];
    one.cli(&[&push[..], &canary[..]].concat()).await;
    let version = async |saga: &str| {
        let saga = one.api.reaches(saga, "completed").await;
        saga["outputs"]["a"]["version"].as_str().expect("a version").to_owned()
    };
    let mut on_canary = 0;
    eventually("some of the sagas are on the canary", PATIENCE, async || {
        let sagas = two.api.probes(&vec![json!({}); 20]).await;
        for saga in &sagas {
            on_canary += usize::from(version(saga).await == "2.0.0");
        }
        (on_canary > 2).then_some(())
    })
    .await;
    assert_eq!(one.api.plugin("probe").await.expect("active")["version"], "0.1.0");

    // Every first attempt traps; the next one succeeds, on whichever side.
    let traps = json!({"steps": {"a": [{"do": "trap"}, {"do": "done"}]}});
    let sagas = one.api.probes(&vec![traps; 40]).await;
    let rolled_back = eventually("it is rolled back", PATIENCE, async || {
        history(&two.api).await.into_iter().find(|entry| entry["what"] == "canary_rolled_back")
    })
    .await;
    let figures = &rolled_back["figures"];
    assert!(
        figures["calls"].as_u64() >= Some(20) && figures["failures"].as_u64() > Some(2),
        "{figures}"
    );
    for saga in &sagas {
        one.api.reaches(saga, "completed").await;
    }
    for host in [&one, &two] {
        eventually("no saga is on the canary", PATIENCE, async || {
            let sagas = host.api.probes(&vec![json!({}); 20]).await;
            for saga in &sagas {
                if version(saga).await != "0.1.0" {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }
    promises(&world).await;
}

#[tokio::test]
async fn a_module_that_sends_requests_is_pushed_by_the_command_line() {
    let world = World::embedded(&["probe-rust"]).await;
    let host = world.host().start().await;
    let pushed = host.cli(&["plugins", "push", &file_of("probe-http-rust")]).await;
    assert!(pushed.contains("probe-http") && pushed.contains("activated"), "{pushed}");
    eventually("it is active", PATIENCE, async || host.api.plugin("probe-http").await).await;
}
