//! The harness as a crate: what whoever writes a plugin in Rust has in `cargo test`. `WASAGA_TEST_PLUGINS` names where the
//! components are; a project names its own file.

use std::path::Path;

use serde_json::json;
use wasaga_harness::{Options, Scenario, Stage, capture, faults::faults, run, scenarios};

/// A plugin with nothing beside it.
async fn stage(package: &str) -> Stage {
    capture();
    let directory = std::env::var("WASAGA_TEST_PLUGINS").expect("run `cargo xtask test`");
    let file = Path::new(&directory).join(package).with_extension("wasm");
    let component =
        std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    Stage::new(vec![component], Options::default(), None).await.expect("the plugin is fit")
}

fn written(package: &str) -> Vec<Scenario> {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../plugins");
    scenarios(&plugins.join(package).join("scenarios")).expect("its scenarios can be read")
}

fn greets(whom: &str, outcome: &str) -> Scenario {
    Scenario::from_json(json!({
        "name": format!("greets {whom}"),
        "given": { "input": { "name": whom } },
        "when": { "saga": "greeting" },
        "then": { "outcome": outcome },
    }))
    .expect("it is a scenario")
}

#[tokio::test]
async fn scenarios_are_files_or_made_in_code() {
    let mut stage = stage("greeting-rust").await;
    let mut all = written("greeting-rust");
    all.push(greets("Ada", "completed"));
    let report = run(&mut stage, &all).await;
    assert!(report.is_ok(), "{}", report.human());
    assert_eq!(report.cases.len(), 5);
    let wrong = run(&mut stage, &[greets("nobody", "completed")]).await;
    assert_eq!((wrong.failed(), wrong.cases[0].failures.len()), (1, 1), "{}", wrong.human());
    stage.close().await;
}

#[tokio::test]
async fn a_scenario_in_code_is_checked_as_a_file_is() {
    let both = json!({ "name": "a", "when": { "execute": "say", "saga": "greeting" } });
    let error = Scenario::from_json(both).expect_err("one of both").to_string();
    assert!(error.starts_with("a: `when` must have exactly one"), "{error}");
    let misspelt = Scenario::from_json(json!({ "name": "a", "whem": {} })).expect_err("whem");
    assert!(misspelt.to_string().contains("whem"), "{misspelt}");
}

#[tokio::test]
async fn faults_and_sql_need_nothing_that_runs() {
    let mut stage = stage("inventory-rust").await;
    let report = run(&mut stage, &written("inventory-rust")).await;
    assert!(report.is_ok() && !report.cases.is_empty(), "{}", report.human());
    stage.close().await;
    let mut stage = self::stage("greeting-rust").await;
    let report = faults(&mut stage, &[], Some(&json!({ "name": "Ada" }))).await;
    assert!(report.is_ok() && !report.cases.is_empty(), "{}", report.human());
    stage.close().await;
}
