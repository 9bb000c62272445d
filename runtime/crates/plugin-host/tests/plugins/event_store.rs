//! Guests' event streams, in the transaction that goes with a good end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use wasaga_domain::{
    attempt::Direction,
    clock::{Clock as _, SystemClock},
    ports::{CallKind, GuestDatabase, StepReport},
};
use wasaga_plugin_host::{Grant, Grants, Options, PluginHost};

use crate::{
    database::Database,
    stage::{call, component, failed, generous, output, rejection, report},
};

async fn host(database: &Arc<Database>) -> Arc<PluginHost> {
    host_with(generous(), database).await
}

async fn host_with(options: Options, database: &Arc<Database>) -> Arc<PluginHost> {
    let database: Arc<dyn GuestDatabase> = database.clone();
    let clock = Arc::new(SystemClock);
    let host = PluginHost::new(options, None, Some(database), clock).expect("a host");
    host.install_local(component("probe-events-rust")).await.expect("it loads");
    host
}

async fn ask(host: &PluginHost, input: Value) -> StepReport {
    report(host, call("probe-events", &input)).await
}

#[tokio::test]
async fn all_three_functions_reach_the_transaction_that_goes_with_a_good_end() {
    let database = Arc::new(Database::default());
    let host = host(&database).await;
    let asked = ask(
        &host,
        json!({"ask": [
            {"append": ["s", 0, ["opened", "paid"]]},
            {"append": ["s", 0, ["opened"]]},
            {"snapshot": ["s", 2]},
            {"snapshot": ["none", 1]},
            {"load": "s"},
            {"load": "none"},
        ]}),
    )
    .await;
    assert!(asked.transaction.is_some());
    let expected = json!([
        2,
        {"conflict": 2},
        "kept",
        {"error": "there is no such stream"},
        {"snapshot": [2, "2"], "events": [[1, "opened", "1"], [2, "paid", "2"]]},
        {"snapshot": null, "events": []},
    ]);
    assert_eq!(output(asked.outcome), expected);
    assert_eq!(database.begun.load(Ordering::Relaxed), 1);
    assert_eq!(database.rolled_back.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn with_any_other_end_the_events_are_rolled_back() {
    let database = Arc::new(Database::default());
    let host = host(&database).await;
    let failing = json!({"ask": [{"append": ["s", 0, ["opened"]]}], "fail": true});
    let asked = ask(&host, failing).await;
    assert!(asked.transaction.is_none());
    assert_eq!(failed(asked.outcome).1, "scripted");
    assert_eq!(database.rolled_back.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_event_store_is_not_sql() {
    let database = Arc::new(Database::default());
    let host = host(&database).await;
    let asked = ask(&host, json!({"ask": ["sql", {"append": ["s", 0, ["opened"]]}]})).await;
    assert_eq!(output(asked.outcome), json!([{"error": "42501"}, 1]));
}

#[tokio::test]
async fn a_load_ends_by_the_deadline() {
    let database = Arc::new(Database::default());
    let host = host(&database).await;
    let mut sleeps = call("probe-events", &json!({"ask": [{"load": "sleep"}]}));
    sleeps.attempt.deadline = SystemClock.now().after(Duration::from_millis(200));
    let report = report(&host, sleeps).await;
    assert!(report.transaction.is_none());
    assert_eq!(failed(report.outcome).1, "timeout");
    assert_eq!(database.rolled_back.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_grant_of_one_phase_is_of_no_use_in_the_other() {
    let database = Arc::new(Database::default());
    let undo = Grant { event_store: true, ..Grant::default() };
    let grant = Grant { compensate: Some(undo.into()), ..Grant::default() };
    let plugins = [("probe-events".parse().expect("a name"), grant)].into();
    let options = Options { grants: Grants { grant_all: false, plugins }, ..Options::default() };
    let host = host_with(options, &database).await;
    let append = json!({"ask": [{"append": ["s", 0, ["opened"]]}]});
    let told = output(ask(&host, append.clone()).await.outcome);
    let message = told[0]["error"].as_str().expect("a sentence");
    let denied = "plugin probe-events is not granted the event store while it executes: ";
    assert!(message.starts_with(denied), "{message}");
    assert_eq!(database.begun.load(Ordering::Relaxed), 0);

    let mut undo = call("probe-events", &append);
    undo.attempt.direction = Direction::Undo;
    undo.kind = CallKind::Compensate { undo: None };
    assert_eq!(output(report(&host, undo).await.outcome), json!([1]));
}

#[tokio::test]
async fn it_is_the_operators_to_grant() {
    let host = crate::stage::host(Options::default());
    let reason = rejection(host.install_local(component("probe-events-rust")).await);
    assert_eq!(
        reason,
        "plugin probe-events asks for the event store, which is not granted: add [plugins.probe-events] \
         grant.event_store = true"
    );
}
