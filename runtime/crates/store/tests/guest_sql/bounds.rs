//! What a guest's SQL may take of the host.

use std::{
    fs,
    time::{Duration, Instant},
};

use wasaga_domain::{
    clock::{Clock, SystemClock},
    ports::{GuestDatabase, ModuleError, ModuleStore},
    sql::SqlValue,
};
use wasaga_store::{
    Store, StoreError, StoreOptions,
    testing::{TestDatabase, database},
};

use crate::stage::{begin, code, module, one, plugin, task, with_plugin};

#[tokio::test]
async fn results_and_connections_are_bounded() {
    let db = with_plugin().await;
    assert_eq!(code(&db.store, "select generate_series(1, 1000000)").await, "54000");
    assert_eq!(code(&db.store, "select from generate_series(1, 1000000)").await, "54000");
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
async fn a_result_is_measured_as_it_lies_in_memory() {
    let db = with_plugin().await;
    // A few bytes each on their way.
    let numbers = "select 1e131071::numeric from generate_series(1, 100)";
    assert_eq!(code(&db.store, numbers).await, "54000");
    let nulls = format!("select null{} from generate_series(1, 1000)", ", null".repeat(1_000));
    assert_eq!(code(&db.store, &nulls).await, "54000");
}

#[tokio::test]
async fn an_answer_that_is_too_long_ends_its_connection_and_no_other() {
    let db = with_plugin().await;
    let (host, end) = task(&db).await;
    let mut neighbour = begin(&db.store).await;
    neighbour.execute("insert into notes values (1, 'kept')", &[]).await.unwrap();
    let before = peak_memory();
    for statement in [
        "select repeat('x', 200000000)",
        "do $$ begin raise exception '%', repeat('x', 20000000); end $$",
        "do $$ begin raise notice '%', repeat('x', 20000000); end $$",
        "do $$ begin for n in 1..20 loop raise notice '%', repeat('x', 1000000); end loop; end $$",
        "select repeat('x', 1000000) from generate_series(1, 20)",
    ] {
        let mut tx = begin(&db.store).await;
        let rows = tx.query("select pg_backend_pid()", &[]).await.unwrap().rows;
        let SqlValue::Int64(pid) = rows[0][0] else { panic!("{rows:?}") };
        let error = tx.execute(statement, &[]).await.expect_err(statement);
        assert_eq!(error.code, "54000", "{statement}: {error}");
        assert!(error.message.contains("select less"), "{error}");
        assert_eq!(tx.execute("select 1", &[]).await.unwrap_err().code, "25P02");
        let refused = db.store.tasks_finish_guest(host, &end, tx).await;
        assert!(matches!(refused, Err(StoreError::Data(_))), "{statement}: {refused:?}");
        until_gone(&db, pid).await;
    }
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        assert!(after - before < 100_000, "{} kB more", after - before);
    }
    assert!(db.store.tasks_finish_guest(host, &end, neighbour).await.unwrap());
    assert_eq!(one(&db.store, "select note from notes").await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn a_migration_whose_answer_is_too_long_is_rejected() {
    let db = database().await;
    let refused = db.store.activate(module("loud", &["select repeat('x', 20000000)"])).await;
    let Err(ModuleError::Rejected(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("54000") && why.contains("select less"), "{why}");
}

#[tokio::test]
async fn notices_are_no_matter_below_the_bound() {
    let db = with_plugin().await;
    let mut tx = begin(&db.store).await;
    let talk =
        "do $$ begin for n in 1..5 loop raise notice '%', repeat('x', 1000000); end loop; end $$";
    for _ in 0..5 {
        tx.execute(talk, &[]).await.unwrap();
    }
    assert_eq!(tx.query("select 1", &[]).await.unwrap().rows.len(), 1);
}

/// Waits until this backend is no more.
async fn until_gone(db: &TestDatabase, pid: i64) {
    let begun = Instant::now();
    let alive = format!("select query from pg_stat_activity where pid = {pid}");
    while !db.texts(&alive).await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "backend {pid} is still there");
    }
}

/// The most memory that this process ever had, in kB; where the system tells.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix(" kB")?.parse().ok()
}
