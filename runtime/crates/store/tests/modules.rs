//! Activations, definitions and plugins' migrations on a real Postgres.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use wasaga_domain::{
    clock::{Clock, SystemClock},
    ids::Digest,
    manifest::{Manifest, Migration},
    ports::{GuestDatabase, ModuleError, ModuleStore, NewModule},
};
use wasaga_store::{
    Store, StoreOptions,
    testing::{TestDatabase, database},
};

/// A module of this manifest; the bytes stand for its code.
fn module(bytes: &str, manifest: &str, migrations: &[&str]) -> NewModule {
    let mut manifest: Manifest = serde_json::from_str(manifest).unwrap();
    manifest.migrations = (1..)
        .zip(migrations)
        .map(|(version, up)| Migration { version, name: format!("m{version}"), up: (*up).into() })
        .collect();
    NewModule {
        digest: Digest::of(bytes.as_bytes()),
        bytes: bytes.as_bytes().to_vec(),
        sql: !migrations.is_empty(),
        event_store: false,
        manifest,
    }
}

fn saga(plugin: &str, version: u32, timeout_ms: u64) -> String {
    format!(
        r#"{{"name": "{plugin}", "version": "1.0.0", "sagas": [{{"name": "order", "version": {version},
            "input_schema": {{"maximum": 100.0}},
            "steps": [{{"name": "reserve", "timeout_ms": {timeout_ms}, "retry": {{"never": {{}}}}}}]}}]}}"#
    )
}

const PLAIN: &str = r#"{"name": "stock", "version": "1.0.0"}"#;

async fn rejected(store: &Store, module: NewModule) -> String {
    match store.activate(module).await {
        Err(ModuleError::Rejected(why)) => why,
        other => panic!("{other:?}"),
    }
}

async fn tables(db: &TestDatabase) -> Vec<String> {
    let pool = sqlx::PgPool::connect(&db.url).await.unwrap();
    sqlx::query_scalar(
        "select tablename::text from pg_tables where schemaname = 'plugin_stock' order by 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_definition_never_changes_its_content() {
    let db = database().await;
    let store = &db.store;
    let first = store.activate(module("a", &saga("shop", 1, 100), &[])).await.unwrap();
    let again = store
        .activate(module("b", &saga("shop", 1, 100).replace("100.0", "1e2"), &[]))
        .await
        .unwrap();
    assert!(again > first);

    let why = rejected(store, module("c", &saga("shop", 1, 200), &[])).await;
    let expected = format!(
        "definition order version 1 exists with other content (from module {}): give it a new version",
        Digest::of(b"a")
    );
    assert_eq!(why, expected);
    let why = rejected(store, module("d", &saga("rival", 2, 100), &[])).await;
    assert!(why.contains("belongs to plugin shop"), "{why}");

    store.activate(module("e", &saga("shop", 2, 200), &[])).await.unwrap();
    let (old, plugin, module) = store.definition_get("order", 1).await.unwrap().unwrap();
    assert_eq!((old.steps[0].timeout_ms, plugin.as_str()), (100, "shop"));
    assert_eq!(module, Digest::of(b"a"), "the first that brought it");
    assert_eq!(store.definition_get("order", 3).await.unwrap(), None);

    let active = store.activations().await.unwrap();
    assert_eq!(active.len(), 1);
    assert_eq!(active[0].digest, Digest::of(b"e"));
    assert_eq!(store.module(active[0].digest).await.unwrap(), b"e");
    assert!(matches!(store.module(Digest::of(b"c")).await, Err(ModuleError::Rejected(_))));
}

#[tokio::test]
async fn migrations_run_once_in_order() {
    let db = database().await;
    let (one, two) = ("create table a (x int); create index on a (x)", "create table b ()");
    db.store.activate(module("1", PLAIN, &[one])).await.unwrap();
    db.store.activate(module("2", PLAIN, &[one, two])).await.unwrap();
    // Back to the older module: its successor's tables stay.
    db.store.activate(module("1", PLAIN, &[one])).await.unwrap();
    db.store.activate(module("2", PLAIN, &[one, two])).await.unwrap();
    assert_eq!(tables(&db).await, ["a", "b"]);

    let why = rejected(&db.store, module("3", PLAIN, &["create table c ()", two])).await;
    assert!(
        why.contains("migration 1 (m1) of plugin stock was applied with other content"),
        "{why}"
    );
    let mut gap = module("4", PLAIN, &[one, two]);
    gap.manifest.migrations[1].version = 3;
    let why = rejected(&db.store, gap).await;
    assert!(why.contains("version 2 must stand where 3"), "{why}");
    let mut ungranted = module("5", PLAIN, &[one, two]);
    ungranted.sql = false;
    assert!(rejected(&db.store, ungranted).await.contains("not granted sql"));
}

#[tokio::test]
async fn a_failing_migration_leaves_nothing() {
    let db = database().await;
    let why =
        rejected(&db.store, module("1", PLAIN, &["create table a ()", "create table a ()"])).await;
    assert!(why.contains("migration 2 (m2) of plugin stock failed: 42P07"), "{why}");
    for escape in [
        "reset role; create table wasaga.mine ()",
        "set role wasaga",
        "insert into wasaga.secrets values ('x', '')",
    ] {
        let why = rejected(&db.store, module("2", PLAIN, &[escape])).await;
        assert!(why.contains("42501"), "{why}");
    }
    let why = rejected(&db.store, module("3", PLAIN, &["commit"])).await;
    assert!(why.contains("ends the transaction itself"), "{why}");
    assert_eq!(tables(&db).await, Vec::<String>::new());
    assert!(db.store.activations().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_crash_between_the_two_commits_is_found() {
    let db = database().await;
    let (one, two) = ("create table a ()", "create table b ()");
    db.store.activate(module("1", PLAIN, &[one])).await.unwrap();
    // As if the host had died before its own commit.
    let pool = sqlx::PgPool::connect(&db.url).await.unwrap();
    sqlx::raw_sql("delete from wasaga.plugin_migrations; delete from wasaga.activations")
        .execute(&pool)
        .await
        .unwrap();
    db.store.activate(module("2", PLAIN, &[one, two])).await.unwrap();
    let versions: Vec<i32> =
        sqlx::query_scalar("select version from wasaga.plugin_migrations order by version")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(versions, [1, 2]);
    assert_eq!(tables(&db).await, ["a", "b"]);
}

#[tokio::test]
async fn two_hosts_may_activate_at_once() {
    let db = database().await;
    let other = Store::new(StoreOptions::new(db.url.clone())).unwrap();
    let up = "create table a ()";
    let manifests =
        [PLAIN.to_owned(), PLAIN.replace("stock", "till"), PLAIN.replace("stock", "post")];
    for manifest in &manifests {
        let (one, two) = tokio::join!(
            db.store.activate(module(manifest, manifest, &[up])),
            other.activate(module(manifest, manifest, &[up])),
        );
        assert_ne!(one.unwrap(), two.unwrap());
    }
    let (one, two, three) = tokio::join!(
        db.store.activate(module("x", &manifests[0], &[up, "create table x ()"])),
        other.activate(module("y", &manifests[1], &[up, "create table x ()"])),
        other.activate(module("z", &manifests[2], &[up, "create table x ()"])),
    );
    one.and(two).and(three).unwrap();
    // Each finds its own tables first.
    let deadline = SystemClock.now().after(std::time::Duration::from_secs(10));
    let mut tx = other.begin(&"till".parse().unwrap(), deadline).await.unwrap();
    let rows =
        tx.query("select 'x'::regclass::oid = 'plugin_till.x'::regclass::oid", &[]).await.unwrap();
    assert_eq!(rows.rows, [[wasaga_domain::sql::SqlValue::Boolean(true)]]);
}
