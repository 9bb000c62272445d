//! A database with a plugin whose role may use it.

use std::time::Duration;

use wasaga_domain::{
    clock::{Clock, SystemClock, UnixMillis},
    ids::{Digest, HostId, PluginName, TaskId},
    manifest::{Capabilities, Manifest, Migration},
    ports::{GuestDatabase, GuestTransaction, ModuleStore, NewModule},
    sql::{SqlError, SqlRows},
};
use wasaga_store::{
    Store,
    lanes::{Flow, Lane},
    task_in::{TaskEnd, TaskResult},
    testing::{TestDatabase, database},
};

/// Of the plugin `note-book`.
pub const MIGRATION: &str = "create table notes (id int8 primary key, note text not null);
    create type mood as enum ('glad', 'sad')";

pub fn plugin(name: &str) -> PluginName {
    name.parse().unwrap()
}

fn soon() -> UnixMillis {
    SystemClock.now().after(Duration::from_secs(20))
}

pub fn module(name: &str, migrations: &[&str]) -> NewModule {
    let migrations = (1..).zip(migrations).map(|(version, up)| Migration {
        version,
        name: format!("m{version}"),
        up: (*up).to_owned(),
    });
    let bytes = name.as_bytes().to_vec();
    NewModule {
        digest: Digest::of(&bytes),
        bytes,
        manifest: Manifest {
            name: plugin(name),
            version: "1.0.0".into(),
            sagas: vec![],
            steps: vec![],
            subscriptions: vec![],
            out_topics: vec![],
            dead_in_topics: vec![],
            dead_out_topics: vec![],
            migrations: migrations.collect(),
            capabilities: Capabilities::default(),
        },
        sql: true,
        event_store: false,
    }
}

pub async fn with_plugin() -> TestDatabase {
    let db = database().await;
    db.store.activate(module("note-book", &[MIGRATION])).await.unwrap();
    db
}

pub async fn begin(store: &Store) -> Box<dyn GuestTransaction> {
    store.begin(&plugin("note-book"), soon()).await.unwrap()
}

pub async fn one(store: &Store, statement: &str) -> Result<SqlRows, SqlError> {
    begin(store).await.query(statement, &[]).await
}

pub async fn code(store: &Store, statement: &str) -> String {
    one(store, statement).await.map(|rows| rows.rows.len()).expect_err(statement).code
}

/// A task of lane 0, whose lease the answered host holds.
pub async fn task(db: &TestDatabase) -> (HostId, TaskEnd) {
    let host = db.store.host_register("a", "1", Duration::from_mins(1)).await.unwrap();
    let lane = db.store.lanes_take(host, Flow::In, 1).await.unwrap()[0];
    let pool = sqlx::PgPool::connect(&db.url).await.unwrap();
    let id = sqlx::query_scalar::<_, i64>(
        r#"insert into wasaga.task_in (lane, cluster, topic, partition, "offset")
           values ($1, 'c', 't', 0, 0) returning id"#,
    )
    .bind(lane.number)
    .fetch_one(&pool)
    .await
    .unwrap();
    (host, end(id, lane))
}

fn end(id: i64, lane: Lane) -> TaskEnd {
    TaskEnd { id: TaskId(id), lane, result: TaskResult::Ready(vec![]), attempts: 1, digest: None }
}
