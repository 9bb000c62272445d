//! Changes of plugins' modules on a real Postgres: their history, what sagas in flight say to them, canaries and undo.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use serde_json::{Value, json};
use wasaga_domain::{
    ids::{Digest, PluginName},
    mail::Audit,
    ports::{ModuleError, ModuleStore, NewModule},
    swap::{CanaryCounts, CanaryPlan, Change, Counts, Part, Swap},
};
use wasaga_store::{
    Store,
    testing::{TestDatabase, database},
};

fn by(name: &str) -> Audit {
    Audit { by: Some(name.into()), reason: "because".into() }
}

/// A module of the plugin `stock`, with these steps.
fn module(version: &str, steps: &[&str]) -> NewModule {
    of_plugin("stock", version, steps, json!([]))
}

fn of_plugin(name: &str, version: &str, steps: &[&str], sagas: Value) -> NewModule {
    let manifest = json!({"name": name, "version": version, "steps": steps, "sagas": sagas});
    let bytes = manifest.to_string().into_bytes();
    NewModule {
        digest: Digest::of(&bytes),
        bytes,
        sql: false,
        event_store: false,
        manifest: serde_json::from_value(manifest).unwrap(),
    }
}

async fn swap(store: &Store, module: NewModule, change: Change) -> Digest {
    store.swap(module, &Swap::new(change, by("ada"))).await.unwrap().digest
}

async fn rejected(store: &Store, module: NewModule, change: Change) -> String {
    match store.swap(module, &Swap::new(change, by("ada"))).await {
        Err(ModuleError::Rejected(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn stock() -> PluginName {
    "stock".parse().unwrap()
}

/// The history: what was done to which version.
async fn history(db: &TestDatabase) -> Vec<String> {
    let history = db.store.plugin_get(&stock()).await.unwrap().unwrap().history;
    let line = |entry: wasaga_store::activation_history::HistoryEntry| {
        format!("{} {} by {}", entry.what, entry.version, entry.by.unwrap_or_default())
    };
    history.into_iter().rev().map(line).collect()
}

/// A definition of another plugin, whose steps reserve (with an undo), pack and send are the stock's.
async fn shop(db: &TestDatabase) {
    let undo = json!({"undo": {"retry": {"never": {}}, "timeout_ms": 1000}});
    let step = |name: &str, compensation: &Value| {
        json!({"name": name, "worker": "stock", "timeout_ms": 1000, "retry": {"never": {}},
            "compensation": compensation})
    };
    let none = json!("none");
    let steps = [step("reserve", &undo), step("pack", &none), step("send", &none)];
    let sagas = json!([{"name": "order", "version": 1, "steps": steps}]);
    db.store.activate(of_plugin("shop", "1.0.0", &[], sagas)).await.unwrap();
}

/// A saga in flight of that definition, in this state.
async fn saga(db: &TestDatabase, status: &str, state: Value) -> String {
    let id = db.texts("select gen_random_uuid()::text").await.remove(0).unwrap();
    db.run(&format!(
        "insert into wasaga.sagas (id, definition, version, nonce, input_type, input, epoch, status, state)
         values ('{id}', 'order', 1, 0, 'application/json', '{{}}', 0, '{status}', '{state}')"
    ))
    .await;
    id
}

#[tokio::test]
async fn each_change_stands_in_the_history() {
    let db = database().await;
    let store = &db.store;
    let one = swap(store, module("1.0.0", &["a"]), Change::Activated).await;
    let two = swap(store, module("2.0.0", &["a"]), Change::Pushed).await;
    assert_eq!(store.known(two).await.unwrap(), None, "nobody made it active yet");
    assert_eq!(store.before(&stock()).await.unwrap(), None);
    // Without its bytes: the database has them.
    let kept = |version| NewModule { bytes: Vec::new(), ..module(version, &["a"]) };
    swap(store, kept("2.0.0"), Change::Activated).await;
    assert_eq!(store.before(&stock()).await.unwrap(), Some(one));
    swap(store, module("3.0.0", &["a"]), Change::Activated).await;
    swap(store, kept("3.0.0"), Change::Activated).await;
    assert_eq!(store.before(&stock()).await.unwrap(), Some(two), "the same again is no other one");
    swap(store, kept("2.0.0"), Change::RolledBack).await;
    assert_eq!(
        store.before(&stock()).await.unwrap(),
        Some(one),
        "what was rolled back is left out"
    );
    let known = store.known(two).await.unwrap().unwrap();
    assert!(known.starts_with("rolled_back by ada at 2"), "{known}");
    assert_eq!(
        history(&db).await,
        [
            "activated 1.0.0 by ada",
            "pushed 2.0.0 by ada",
            "activated 2.0.0 by ada",
            "activated 3.0.0 by ada",
            "activated 3.0.0 by ada",
            "rolled_back 2.0.0 by ada",
        ]
    );
    for change in
        ["update wasaga.activation_history set by = 'x'", "delete from wasaga.activation_history"]
    {
        let refused = wasaga_store::sqlx::raw_sql(change)
            .execute(&wasaga_store::sqlx::PgPool::connect(&db.url).await.unwrap())
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}

#[tokio::test]
async fn a_change_that_fails_leaves_no_trace() {
    let db = database().await;
    swap(&db.store, module("1.0.0", &["a"]), Change::Activated).await;
    shop(&db).await;
    let taken = json!([{"name": "order", "version": 2, "steps": [
        {"name": "a", "timeout_ms": 1000, "retry": {"never": {}}}]}]);
    let why =
        rejected(&db.store, of_plugin("stock", "2.0.0", &["a"], taken), Change::Activated).await;
    assert!(why.contains("belongs to plugin shop"), "{why}");
    assert_eq!(history(&db).await, ["activated 1.0.0 by ada"]);
    assert_eq!(db.store.plugin_get(&stock()).await.unwrap().unwrap().modules.len(), 1);
}

#[tokio::test]
async fn of_two_roll_backs_at_once_one_is_made() {
    let db = database().await;
    let store = &db.store;
    swap(store, module("1.0.0", &["a"]), Change::Activated).await;
    let two = swap(store, module("2.0.0", &["a"]), Change::Activated).await;
    let back = Swap { over: Some(two), ..Swap::new(Change::RolledBack, by("ada")) };
    let (first, second) = tokio::join!(
        store.swap(module("1.0.0", &["a"]), &back),
        store.swap(module("1.0.0", &["a"]), &back)
    );
    let (made, refused): (Vec<_>, Vec<_>) = [first, second].into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    let why = refused.into_iter().next().unwrap().unwrap_err().to_string();
    assert!(why.contains("is not the active one any more"), "{why}");
}

#[tokio::test]
async fn sagas_in_flight_keep_the_steps_they_need() {
    let db = database().await;
    let store = &db.store;
    let all = ["reserve", "pack", "send"];
    swap(store, module("1.0.0", &all), Change::Activated).await;
    shop(&db).await;
    // None of these needs `reserve` any more, nor `pack` and `send` of this plugin's active module.
    saga(&db, "completed", json!({"course": "completed", "done": [0, 1, 2]})).await;
    saga(&db, "running", json!({"course": "forward", "done": [0], "pivoted": true, "open": []}))
        .await;
    saga(&db, "running", json!({"course": "forward", "pins": {"stock": "sha256:00"}})).await;
    saga(&db, "compensating", json!({"course": {"undo": {}}, "done": [0, 1], "undone": [0]})).await;
    let skipped = json!({"course": "forward", "skipped": [0], "open": [{"step": 1}]});
    saga(&db, "running", skipped).await;
    swap(store, module("1.1.0", &["pack", "send"]), Change::Activated).await;

    let open = saga(&db, "pending", json!({"course": "unopened"})).await;
    let done = json!({"course": "forward", "done": [0, 1], "open": [{"step": 2}]});
    let done = saga(&db, "waiting", done).await;
    let stuck = json!({"course": {"undo": {}}, "done": [0, 1], "open": [{"step": 0}]});
    let stuck = saga(&db, "needs_attention", stuck).await;
    let why = rejected(store, module("1.2.0", &["pack", "send"]), Change::Activated).await;
    let told = format!(
        "plugin stock 1.2.0 ({}) has no step reserve, which 3 sagas in flight (",
        module("1.2.0", &["pack", "send"]).digest
    );
    assert!(why.starts_with(&told), "{why}");
    assert!([&open, &done, &stuck].iter().all(|id| why.contains(*id)), "{why}");
    // Neither a canary, nor one that undoes; but nobody undoes `pack`.
    let canary = Change::CanaryStarted(CanaryPlan::new(10));
    rejected(store, module("1.2.0", &["pack", "send"]), canary).await;
    rejected(store, module("1.2.0", &["pack"]), Change::UndoTakenOver).await;
    swap(store, module("1.2.0", &["reserve"]), Change::UndoTakenOver).await;
    swap(store, module("1.3.0", &[]), Change::Pushed).await;

    for _ in 0..10 {
        saga(&db, "pending", json!({"course": "unopened"})).await;
    }
    let why = rejected(store, module("1.4.0", &[]), Change::Activated).await;
    assert!(why.contains("has no step pack, reserve, send, which 15 sagas in flight ("), "{why}");
    assert!(why.contains(" and 5 more)"), "{why}");
    let counts = store.sagas_touched_count(&stock(), None).await.unwrap();
    let counts: Vec<_> = counts.iter().map(|count| (&*count.status, count.sagas)).collect();
    assert_eq!(counts, [("needs_attention", 1), ("pending", 11), ("running", 2), ("waiting", 1)]);
    let page = store.sagas_touched(&stock(), None, None, 100).await.unwrap();
    let waiting = page.sagas.iter().find(|saga| saga.saga_id.to_string() == done).unwrap();
    assert_eq!(
        (&*waiting.current, &*waiting.needed),
        (&["send".into()][..], &["reserve".into(), "send".into()][..])
    );

    let forced = Swap { force: true, ..Swap::new(Change::Activated, by("eve")) };
    store.swap(module("1.4.0", &[]), &forced).await.unwrap();
    let entry = store.plugin_get(&stock()).await.unwrap().unwrap().history.remove(0);
    assert!(entry.forced && entry.by.as_deref() == Some("eve"), "{entry:?}");
}

fn counted(calls: u64, failures: u64) -> CanaryCounts {
    CanaryCounts { canary: Counts { calls, failures }, active: Counts { calls: 100, failures: 1 } }
}

#[tokio::test]
async fn a_canary_ends_where_too_many_of_its_calls_fail() {
    let db = database().await;
    let store = &db.store;
    let canary = || {
        let plan = CanaryPlan { max_error_percent: 10.0, min_calls: 20, ..CanaryPlan::new(5) };
        Change::CanaryStarted(plan)
    };
    let why = rejected(store, module("2.0.0", &["a"]), canary()).await;
    assert!(why.contains("no active module beside which"), "{why}");
    swap(store, module("1.0.0", &["a"]), Change::Activated).await;
    let active = || async { store.activations().await.unwrap().remove(0) };
    let before = active().await;
    let digest = swap(store, module("2.0.0", &["a"]), canary()).await;
    let running = active().await;
    let id = running.canary.as_ref().unwrap().id;
    assert_eq!((running.digest, running.canary.as_ref().unwrap().digest), (before.digest, digest));
    assert!(running.generation > before.generation, "hosts see it");

    assert_eq!(store.count(&stock(), id, counted(10, 9)).await.unwrap(), None, "too few calls");
    assert_eq!(store.count(&stock(), id + 1, counted(90, 90)).await.unwrap(), None, "another one");
    assert_eq!(
        store.count(&stock(), id, counted(90, 1)).await.unwrap(),
        None,
        "10 of 100: as many"
    );
    let figures = store.plugin_get(&stock()).await.unwrap().unwrap().canary.unwrap().figures;
    let of_all = json!({"calls": 100, "failures": 10, "active_calls": 200, "active_failures": 2});
    assert_eq!(figures, of_all);
    // What is older than the window does not count.
    db.run("update wasaga.canary_calls set at = at - interval '6 minutes' where failures = 9")
        .await;
    let figures = store.plugin_get(&stock()).await.unwrap().unwrap().canary.unwrap().figures;
    assert_eq!(figures["calls"], 90);
    assert_eq!(store.count(&stock(), id, counted(10, 8)).await.unwrap(), None, "9 of 100");
    // Two hosts at once: one of them ends it.
    let stock = stock();
    let (one, two) = tokio::join!(
        store.count(&stock, id, counted(10, 6)),
        store.count(&stock, id, counted(10, 6))
    );
    let why: Vec<_> = [one.unwrap(), two.unwrap()].into_iter().flatten().collect();
    let [why] = &why[..] else { panic!("{why:?}") };
    assert!(why.starts_with("15 of its 110 calls failed, which is more than 10 %"), "{why}");
    let ended = active().await;
    assert_eq!((ended.digest, &ended.canary), (before.digest, &None));
    assert!(ended.generation > running.generation);
    let entry = store.plugin_get(&stock).await.unwrap().unwrap().history.remove(0);
    assert_eq!((&*entry.what, &entry.reason), ("canary_rolled_back", why));
    assert_eq!(entry.figures.unwrap()["failures"], 15);
    assert_eq!(db.texts("select canary::text from wasaga.canary_calls").await, Vec::new());
    assert!(!store.end(&stock, Part::Canary, &by("ada")).await.unwrap(), "there is none");
}

#[tokio::test]
async fn an_activation_ends_what_ran_beside() {
    let db = database().await;
    let store = &db.store;
    swap(store, module("1.0.0", &["a"]), Change::Activated).await;
    swap(store, module("1.1.0", &["a"]), Change::UndoTakenOver).await;
    swap(store, module("2.0.0", &["a"]), Change::CanaryStarted(CanaryPlan::new(5))).await;
    swap(store, module("2.1.0", &["a"]), Change::CanaryStarted(CanaryPlan::new(50))).await;
    let gone = rejected(store, module("2.0.0", &["a"]), Change::CanaryPromoted).await;
    assert!(gone.contains("is not its canary any more"), "{gone}");
    swap(store, module("2.1.0", &["a"]), Change::CanaryPromoted).await;
    let active = store.activations().await.unwrap().remove(0);
    assert_eq!((active.undo, active.canary), (None, None));
    swap(store, module("2.2.0", &["a"]), Change::UndoTakenOver).await;
    assert!(store.end(&stock(), Part::Undo, &by("bob")).await.unwrap());
    assert_eq!(
        history(&db).await,
        [
            "activated 1.0.0 by ada",
            "undo_taken_over 1.1.0 by ada",
            "canary_started 2.0.0 by ada",
            "canary_ended 2.0.0 by ada",
            "canary_started 2.1.0 by ada",
            "undo_ended 1.1.0 by ada",
            "canary_promoted 2.1.0 by ada",
            "undo_taken_over 2.2.0 by ada",
            "undo_ended 2.2.0 by bob",
        ]
    );
}
