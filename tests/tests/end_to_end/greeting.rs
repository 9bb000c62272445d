//! The first plugin of README.md: greeted, and not.

use std::fs;

use serde_json::json;
use wasaga_tests::{World, check::promises};

#[tokio::test]
async fn greetings() {
    let world = World::embedded(&["greeting-rust"]).await;
    let host = world.host().start().await;
    let greet = async |id: &str, name: &str| {
        let greeting = json!({"greeting_id": id, "name": name});
        host.api.post("/api/v1/greetings?wait=30s", &greeting).await.ok()
    };
    let ada = greet("g-1", "Ada").await;
    assert_eq!((&ada["status"], &ada["greeting_id"]), (&json!("completed"), &json!("g-1")));
    assert_eq!(ada["outputs"]["write"], json!({"card": "Hello, Ada!"}));
    let nobody = greet("g-2", "nobody").await;
    assert_eq!(nobody["status"], "compensated");
    assert_eq!(nobody["error"]["code"], "nobody-there");
    host.logged("the card for nobody is torn up").await;
    promises(&world).await;
}

#[tokio::test]
async fn a_real_saga_becomes_scenarios() {
    let world = World::embedded(&["greeting-rust"]).await;
    let host = world.host().start().await;
    let greeting = json!({"greeting_id": "g-3", "name": "nobody"});
    let nobody = host.api.post("/api/v1/greetings?wait=30s", &greeting).await.ok();
    let saga = nobody["saga_id"].as_str().expect("it has an id");
    let plugin = world.plugins.path().join("greeting-rust.wasm");
    let plugin = plugin.to_str().expect("a path of text");
    let out = world.plugins.path().join("recorded.json");
    let out = out.to_str().expect("a path of text");

    let printed = host.cli(&["test", plugin, "--record", saga]).await;
    let tried = host.cli(&["test", plugin, "--record", saga, "--out", out]).await;
    for name in
        ["entry 1: write succeeded", "entry 2: say failed", "entry 4: undo of write succeeded"]
    {
        assert!(printed.contains(name) && tried.contains(name), "{name}: {printed}{tried}");
    }
    // A plugin that does otherwise is found by them.
    let written = fs::read_to_string(out).expect("it was written");
    assert_eq!(written.trim(), printed.trim());
    fs::write(out, written.replace("Hello, nobody!", "Hello, Ada!")).expect("it can be written");
    let failed = host.cli_fails(&["test", plugin, out]).await;
    assert!(failed.contains("1 of 3 cases failed"), "{failed}");
    let again = host.cli_fails(&["test", plugin, "--record", saga, "--out", out]).await;
    assert!(again.contains("can't be written"), "{again}");
}
