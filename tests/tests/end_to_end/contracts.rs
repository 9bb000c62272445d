//! Plugins that were built against each released version of the contract: see tests/contracts.

use serde_json::json;
use wasaga_tests::{PATIENCE, Record, World, check::promises, eventually};

/// Version and component.
const RELEASED: [(&str, &[u8]); 1] =
    [("0.1.0", include_bytes!("../../contracts/0.1.0/probe.wasm"))];

#[tokio::test]
async fn a_plugin_of_a_released_contract_still_runs() {
    for (version, component) in RELEASED {
        let world = World::embedded(&[]).await;
        world.plugins.put("probe", component);
        let host = world.host().start().await;

        // Guard, execute, resume, and the imports.
        let correlation = format!("contract {version}");
        let waits = json!({
            "guards": {"a": ["skip"]},
            "steps": {
                "b": [{"do": "wait", "topic": "probe.replies", "correlation": correlation}],
                "c": [{"do": "imports", "message": "of long ago"}],
            },
        });
        let saga = host.api.probe(&waits).await;
        host.api.waits_in(&saga, "b").await;
        let reply = Record::new("probe.replies", "k", &json!({"said": version}))
            .header("correlation-id", &correlation);
        world.produce(&[reply]).await;
        let saga = host.api.reaches(&saga, "completed").await;
        assert_eq!(saga["outputs"]["b"]["arrived"]["value"]["said"], version);
        assert_eq!(saga["outputs"]["c"]["finished_steps"], json!(["b"]), "{saga}");
        host.logged("of long ago").await;

        // Compensate, with what the step kept for it.
        let undone = json!({"steps": {
            "a": [{"do": "done", "undo": {"hold": 7}}],
            "b": [{"do": "permanent"}],
        }});
        let saga = host.api.probe(&undone).await;
        host.api.reaches(&saga, "compensated").await;
        assert_eq!(
            world.journal(&saga).await,
            ["a succeeded", "b failed", "undoing", "undo a succeeded", "compensated"]
        );

        // A task, and its effects.
        let sends = json!({"attempts": [{"do": "done", "send": [{"topic": "probe.seen"}]}]});
        world.produce(&[Record::new("probe.tasks", "k", &sends)]).await;
        let seen = "select count(*) from wasaga.task_out where topic = 'probe.seen'";
        eventually("the task's effect is committed", PATIENCE, async || {
            (world.number(seen).await == 1).then_some(())
        })
        .await;
        promises(&world).await;
    }
}
