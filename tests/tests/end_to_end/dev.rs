//! `wasaga dev`: what is saved becomes active, unless it does not build, or does not do what its scenarios say.

use std::fs;

use serde_json::{Value, json};
use wasaga_services::process::{Signal, signal};
use wasaga_tests::{Host, PATIENCE, World, eventually};

async fn card(host: &Host) -> Value {
    let saga = host.api.post("/api/v1/greetings/hello", &json!({"name": "Ada"})).await.saga();
    host.api.reaches(&saga, "completed").await["outputs"]["write"]["card"].clone()
}

#[tokio::test]
async fn dev_swaps_in_what_is_saved() {
    let world = World::embedded(&[]).await;
    let parent = world.plugins.path().parent().expect("it is in the test's directory");
    let project = parent.join("hello");
    let shown = project.to_string_lossy();
    let mut host = world.host().start().await;
    host.cli(&["new", "hello", "--language", "c", "--dir", &shown]).await;
    host.stop(PATIENCE).await;
    let source = project.join("src/plugin.c");
    let saved = |old: &str, new: &str| {
        let text = fs::read_to_string(&source).expect("it is there");
        assert!(text.contains(old), "{old}");
        fs::write(&source, text.replace(old, new)).expect("it can be written");
    };
    // What production has to grant is told.
    saved(
        "\"steps\": [\"write\", \"say\"],",
        "\"steps\": [\"write\", \"say\"], \"capabilities\": {\"topics\": [\"cards\"]},",
    );

    host = world.host().by(&["dev", &shown]).unset("plugins.grant_all").start().await;
    let active = async |version: &str| {
        eventually(format!("version {version} is active"), PATIENCE, async || {
            host.api.plugin("hello").await.filter(|plugin| plugin["version"] == version)
        })
        .await
    };
    active("0.1.0").await;
    host.logged("[plugins.hello.grant]").await;
    host.logged("topics = [\"cards\"]").await;
    assert_eq!(card(&host).await, "Hello, Ada!");

    saved("\"version\": \"0.1.0\"", "\"version\": \"0.2.0\"");
    let second = active("0.2.0").await;
    // It does not build; then it builds, and does not greet as it has to.
    saved("return wasaga_done(output, undo);", "return wasaga_done(output, undo)");
    host.logged("stays as it was: it does not build").await;
    saved("return wasaga_done(output, undo)", "return wasaga_done(output, undo);");
    saved("\"Hello, %s!\"", "\"Good-bye, %s!\"");
    host.logged("stays as it was: its scenarios fail").await;
    assert_eq!(host.api.plugin("hello").await, Some(second));
    assert_eq!(card(&host).await, "Hello, Ada!");

    saved("\"Good-bye, %s!\"", "\"Hello, %s!\"");
    saved("\"version\": \"0.2.0\"", "\"version\": \"0.3.0\"");
    active("0.3.0").await;
    // Ctrl-C.
    signal(host.pid(), Signal::INT);
    let status = host.ended(PATIENCE).await;
    assert!(status.success(), "{status}:\n{}", host.log());
}
