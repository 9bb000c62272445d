//! Guests' SQL on a real Postgres: what comes back, what is refused, and that nothing gets out.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::time::{Duration, Instant};

use wasaga_domain::{
    clock::{Clock, SystemClock, UnixMillis},
    ids::{Digest, PluginName},
    manifest::{Capabilities, Manifest, Migration},
    ports::{GuestDatabase, GuestTransaction, ModuleError, ModuleStore, NewModule},
    sql::{SqlError, SqlRows, SqlValue},
};
use wasaga_store::{
    Store, StoreError, StoreOptions,
    lanes::{Flow, Lane},
    task_in::{TaskEnd, TaskResult},
    testing::{TestDatabase, database},
};

fn plugin(name: &str) -> PluginName {
    name.parse().unwrap()
}

fn soon() -> UnixMillis {
    SystemClock.now().after(Duration::from_secs(20))
}

fn module(name: &str, migrations: &[&str]) -> NewModule {
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
            migrations: migrations.collect(),
            capabilities: Capabilities::default(),
        },
        sql: true,
    }
}

async fn with_plugin() -> TestDatabase {
    let db = database().await;
    let up = "create table notes (id int8 primary key, note text not null);
              create type mood as enum ('glad', 'sad')";
    db.store.activate(module("note-book", &[up])).await.unwrap();
    db
}

async fn begin(store: &Store) -> Box<dyn GuestTransaction> {
    store.begin(&plugin("note-book"), soon()).await.unwrap()
}

async fn one(store: &Store, statement: &str) -> Result<SqlRows, SqlError> {
    begin(store).await.query(statement, &[]).await
}

async fn code(store: &Store, statement: &str) -> String {
    one(store, statement).await.expect_err(statement).code
}

/// A task of lane 0, whose lease the answered host holds.
async fn task(db: &TestDatabase) -> (wasaga_domain::ids::HostId, TaskEnd) {
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
    TaskEnd {
        id: wasaga_domain::ids::TaskId(id),
        lane,
        result: TaskResult::Ready(vec![]),
        attempts: 1,
        digest: None,
    }
}

#[tokio::test]
async fn values_come_back_as_they_went() {
    let db = with_plugin().await;
    let values = [
        ("boolean", SqlValue::Boolean(true)),
        ("int2", SqlValue::Int64(-7)),
        ("int4", SqlValue::Int64(i64::from(i32::MIN))),
        ("int8", SqlValue::Int64(i64::MAX)),
        ("float4", SqlValue::Float64(1.5)),
        ("float8", SqlValue::Float64(0.1)),
        ("text", SqlValue::Text("žluťoučký".into())),
        ("varchar", SqlValue::Text(String::new())),
        ("mood", SqlValue::Text("glad".into())),
        ("bytea", SqlValue::Bytes(vec![0, 255])),
        ("numeric", SqlValue::Numeric("-1234567.00010".into())),
        ("uuid", SqlValue::Uuid("6f1f6b1c-0c59-4c4b-8d6b-1c1f0a3b9e55".into())),
        ("json", SqlValue::Json(r#"{"a": [1]}"#.into())),
        ("jsonb", SqlValue::Json(r#"{"a": [1]}"#.into())),
        ("timestamptz", SqlValue::Timestamp("2026-02-03T04:05:06.789Z".into())),
        ("int4", SqlValue::Null),
    ];
    for (kind, value) in values {
        let mut tx = begin(&db.store).await;
        let rows = tx
            .query(&format!("select $1::{kind} as v"), std::slice::from_ref(&value))
            .await
            .unwrap();
        assert_eq!(rows.rows, [[value]], "{kind}");
        assert_eq!(rows.columns[0].name, "v");
    }
    let rows =
        one(&db.store, "select date '2026-02-03', timestamp '2026-02-03 04:05:06', 1::oid").await;
    let text = |text: &str| SqlValue::Text(text.into());
    let expected = [text("2026-02-03"), text("2026-02-03T04:05:06"), SqlValue::Int64(1)];
    assert_eq!(rows.unwrap().rows, [expected]);
}

#[tokio::test]
async fn misfits_are_named() {
    let db = with_plugin().await;
    let mut tx = begin(&db.store).await;
    let insert = "insert into notes (id, note) values ($1, $2)";
    let error = tx.execute(insert, &[SqlValue::Int64(1), SqlValue::Int64(2)]).await.unwrap_err();
    assert_eq!(error.code, "42804");
    assert!(error.message.contains("parameter $2 is int8"), "{error}");
    let error = tx.execute(insert, &[SqlValue::Int64(1)]).await.unwrap_err();
    assert_eq!(error.code, "08P01");
    // Neither was sent: the transaction goes on.
    let fits = [SqlValue::Int64(1), SqlValue::Text("x".into())];
    assert_eq!(tx.execute(insert, &fits).await, Ok(1));
    let empty = tx.query("select id, note from notes where false", &[]).await.unwrap();
    let types: Vec<_> = empty.columns.iter().map(|column| column.type_name.as_str()).collect();
    assert_eq!((types, empty.rows.len()), (vec!["int8", "text"], 0));
    let error = tx.query("select array[1] as list", &[]).await.unwrap_err();
    assert!(
        error.message.contains("column 1 (list)") && error.message.contains("cast it to text"),
        "{error}"
    );
}

#[tokio::test]
async fn nothing_gets_out_of_the_role() {
    let db = with_plugin().await;
    db.store.activate(module("other", &["create table secrets (s text)"])).await.unwrap();
    let store = &db.store;
    for (statement, expected) in [
        ("set role wasaga", "25001"),
        ("set session authorization wasaga", "25001"),
        ("select set_config('role', 'wasaga', true)", "42501"),
        ("select set_config('session_authorization', 'wasaga', true)", "42501"),
        ("do $$ begin reset role; perform 1 from wasaga.sagas; end $$", "42501"),
        ("select * from wasaga.sagas", "42501"),
        ("select * from wasaga.secrets", "42501"),
        ("select wasaga.millis(now())", "42501"),
        ("select * from plugin_other.secrets", "42501"),
        ("select wasaga_guest.check_token('x')", "42501"),
        ("create schema mine", "42501"),
        ("create table wasaga_guest.t ()", "42501"),
        ("create function wasaga_guest.f() returns int language sql return 1", "42501"),
        ("create function pg_catalog.now() returns int language sql return 1", "42501"),
        ("create extension dblink", "42501"),
        ("copy notes to program 'true'", "25001"),
        ("select pg_read_file('/etc/passwd')", "42501"),
        (
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'wasaga'",
            "42501",
        ),
        ("commit", "25001"),
        ("/* x */ end", "25001"),
        ("select 1; commit", "42601"),
        ("do $$ begin commit; end $$", "2D000"),
        ("alter role current_user superuser", "42501"),
    ] {
        assert_eq!(code(store, statement).await, expected, "{statement}");
    }
    let wrong = "select * from wasaga_guest.task_in_finish('\\x00', 1, '{1}', '{0}', '{1}', '{ready}', '{1}',
        '{0}', '{null}', '{null}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')";
    assert_eq!(code(store, wrong).await, "42501");
    let wrong =
        format!("select * from wasaga_guest.sagas_commit('\\x00', 1{})", ", null".repeat(37));
    assert_eq!(code(store, &wrong).await, "42501");
}

#[tokio::test]
async fn the_token_is_not_to_be_had() {
    let db = with_plugin().await;
    let (host, end) = task(&db).await;
    let mut tx = begin(&db.store).await;
    // Takes the names under which the host's driver prepares its statements.
    let steal = "do $$ begin
        for n in 1..99 loop
            begin
                execute 'deallocate sqlx_s_' || n;
            exception when others then null;
            end;
            execute 'prepare sqlx_s_' || n || ' (bytea) as insert into notes select 1, encode($1, ''hex'')';
        end loop;
    end $$";
    tx.execute(steal, &[]).await.unwrap();
    tx.execute("set local debug_print_plan = on", &[]).await.unwrap();
    let refused = db.store.task_in_finish_guest(host, &end, tx).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(one(&db.store, "select note from notes").await.unwrap().rows, Vec::<Vec<_>>::new());
}

#[tokio::test]
async fn a_failed_statement_ends_the_transaction() {
    let db = with_plugin().await;
    let (host, end) = task(&db).await;
    let mut tx = begin(&db.store).await;
    assert_eq!(tx.execute("selec", &[]).await.unwrap_err().code, "42601");
    assert_eq!(
        tx.execute("insert into notes values (2, 'x')", &[]).await.unwrap_err().code,
        "25P02"
    );
    let refused = db.store.task_in_finish_guest(host, &end, tx).await;
    assert!(matches!(refused, Err(StoreError::Data(_))), "{refused:?}");
}

#[tokio::test]
async fn the_guests_sql_and_the_tasks_end_are_one() {
    let db = with_plugin().await;
    let (host, end) = task(&db).await;
    let stale = TaskEnd { lane: Lane { epoch: end.lane.epoch - 1, ..end.lane }, ..end.clone() };
    let mut tx = begin(&db.store).await;
    tx.execute("insert into notes values (1, 'zombie')", &[]).await.unwrap();
    assert!(!db.store.task_in_finish_guest(host, &stale, tx).await.unwrap());

    let mut tx = begin(&db.store).await;
    tx.execute("insert into notes values (2, 'kept')", &[]).await.unwrap();
    tx.execute("set local synchronous_commit = off", &[]).await.unwrap();
    assert!(db.store.task_in_finish_guest(host, &end, tx).await.unwrap());
    let notes = one(&db.store, "select note from notes").await.unwrap();
    assert_eq!(notes.rows, [[SqlValue::Text("kept".into())]]);
    assert!(db.store.task_in_position(&[end.id]).await.unwrap()[0].ended);

    // A dropped one leaves nothing, and its connection comes back clean.
    let mut tx = begin(&db.store).await;
    tx.execute("insert into notes values (3, 'dropped')", &[]).await.unwrap();
    tx.query("select set_config('my.secret', 'x', false), pg_advisory_lock(1)", &[]).await.unwrap();
    tx.execute("create temp table notes (id int8, note text)", &[]).await.unwrap();
    drop(tx);
    let rows =
        one(&db.store, "select count(*), current_setting('my.secret', true) from notes").await;
    let rows = rows.unwrap().rows;
    assert!(
        rows[0][0] == SqlValue::Int64(1) && rows[0][1] != SqlValue::Text("x".into()),
        "{rows:?}"
    );
}

#[tokio::test]
async fn every_statement_ends_by_the_deadline() {
    let db = with_plugin().await;
    for statement in [
        "select pg_sleep(30)",
        "do $$ begin perform set_config('statement_timeout', '0', true); perform pg_sleep(30); end $$",
    ] {
        let begun = Instant::now();
        let deadline = SystemClock.now().after(Duration::from_millis(300));
        let mut tx = db.store.begin(&plugin("note-book"), deadline).await.unwrap();
        tx.query("select set_config('statement_timeout', '0', true)", &[]).await.unwrap();
        assert_eq!(tx.execute(statement, &[]).await.unwrap_err().code, "57014");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    // Nothing goes on behind the host's back.
    let begun = Instant::now();
    let sleeping = "select count(*) from pg_stat_activity where usename = current_user and query like '%pg_sleep(30)%'
        and state = 'active' and pid <> pg_backend_pid()";
    while one(&db.store, sleeping).await.unwrap().rows != [[SqlValue::Int64(0)]] {
        assert!(begun.elapsed() < Duration::from_secs(5), "a statement still runs");
    }
}

#[tokio::test]
async fn results_and_connections_are_bounded() {
    let db = with_plugin().await;
    assert_eq!(code(&db.store, "select generate_series(1, 1000000)").await, "54000");
    assert_eq!(code(&db.store, "select repeat('x', 9000000)").await, "54000");

    let options = StoreOptions { max_guest_connections: 1, ..StoreOptions::new(db.url.clone()) };
    let small = Store::new(options).unwrap();
    let held = begin(&small).await;
    let deadline = SystemClock.now().after(Duration::from_millis(100));
    let error = small.begin(&plugin("note-book"), deadline).await.map(|_| ()).unwrap_err();
    assert!(error.message.contains("max_guest_connections"), "{error}");
    drop(held);
    begin(&small).await;
}

#[tokio::test]
async fn a_lost_or_tampered_role_is_mended() {
    let db = with_plugin().await;
    let mut tx = begin(&db.store).await;
    tx.execute(
        "do $$ begin execute 'alter role ' || current_user || ' set search_path = nowhere'; end $$",
        &[],
    )
    .await
    .unwrap();
    let rows = tx.query("select current_user::text", &[]).await.unwrap().rows;
    let SqlValue::Text(role) = &rows[0][0] else { panic!("{rows:?}") };
    drop(tx);
    let pool = sqlx::PgPool::connect(&db.url).await.unwrap();
    let lose = format!("alter table plugin_note_book.notes owner to wasaga; alter schema plugin_note_book owner to wasaga;
        drop owned by {role}; drop type if exists plugin_note_book.mood; drop role {role}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lose)).execute(&pool).await.unwrap();
    let fresh = Store::new(StoreOptions::new(db.url.clone())).unwrap();
    begin(&fresh).await.execute("insert into notes values (1, 'again')", &[]).await.unwrap();
}

#[tokio::test]
async fn without_the_right_to_make_roles_the_way_out_is_named() {
    let db = database().await;
    let pool = sqlx::PgPool::connect(&db.url).await.unwrap();
    let user = format!("wasaga_poor_{}", std::process::id());
    let make = format!(
        "create role {user} login; grant usage on schema wasaga to {user};
        grant all on all tables in schema wasaga to {user}"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&pool).await.unwrap();
    let powerless =
        Store::new(StoreOptions::new(db.url.replace("//wasaga@", &format!("//{user}@")))).unwrap();
    let refused = powerless.activate(module("note-book", &[])).await;
    let Err(ModuleError::Rejected(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("createrole") && why.contains(&user), "{why}");
    powerless.close().await;
    let rid = format!("drop owned by {user}; drop role {user}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(rid)).execute(&pool).await.unwrap();
}
