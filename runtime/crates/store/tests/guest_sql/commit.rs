//! A guest's SQL and what the host commits with it.

use std::time::{Duration, Instant};

use wasaga_domain::{
    ports::{GuestTransaction, ModuleStore as _},
    sql::SqlValue,
};
use wasaga_store::{
    StoreError,
    lanes::{Flow, Lane},
    task_in::TaskEnd,
    testing_sql::Session,
};

use crate::stage::{begin, module, one, task, with_plugin};

#[tokio::test]
async fn the_guests_sql_and_the_tasks_end_are_one() {
    let db = with_plugin().await;
    let (host, end) = task(&db).await;
    let stale = TaskEnd { lane: Lane { epoch: end.lane.epoch - 1, ..end.lane }, ..end.clone() };
    let mut tx = begin(&db.store).await;
    tx.execute("insert into notes values (1, 'zombie')", &[]).await.unwrap();
    assert!(!db.store.tasks_finish_guest(host, &stale, tx).await.unwrap());

    let mut tx = begin(&db.store).await;
    tx.execute("insert into notes values (2, 'kept')", &[]).await.unwrap();
    tx.execute("set local synchronous_commit = off", &[]).await.unwrap();
    assert!(db.store.tasks_finish_guest(host, &end, tx).await.unwrap());
    let notes = one(&db.store, "select note from notes").await.unwrap();
    assert_eq!(notes.rows, [[SqlValue::Text("kept".into())]]);
    assert!(db.store.tasks_position(Flow::In, &[end.id]).await.unwrap()[0].ended);

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
async fn an_advisory_lock_is_gone_with_its_transaction() {
    let db = with_plugin().await;
    let (host, end) = task(&db).await;
    let take =
        "select pg_advisory_lock(n), pg_advisory_xact_lock(n + 9) from generate_series(1, 9) n";
    let mut other = Session::open(&db.url).await;
    let free = "select count(*) from generate_series(1, 18) n
        where pg_try_advisory_lock(n) and pg_advisory_unlock(n)";

    let mut tx = begin(&db.store).await;
    tx.query(take, &[]).await.unwrap();
    assert_eq!(other.number(free).await, 0);
    // A change of the modules, of which there is one at a time, waits for none of them.
    db.store.activate(module("other", &["create table secrets (s text)"])).await.unwrap();
    assert!(db.store.tasks_finish_guest(host, &end, tx).await.unwrap());
    all_free(&mut other, free).await;

    let mut tx = begin(&db.store).await;
    tx.query(take, &[]).await.unwrap();
    drop(tx);
    all_free(&mut other, free).await;
}

/// The connection is cleaned when the transaction has ended.
async fn all_free(other: &mut Session, free: &str) {
    let begun = Instant::now();
    while other.number(free).await < 18 {
        assert!(begun.elapsed() < Duration::from_secs(10), "a lock is left");
    }
}

#[tokio::test]
async fn a_deferred_trigger_runs_before_the_hosts_rows_are_locked() {
    let db = with_plugin().await;
    let (host, end) = task(&db).await;
    let mut tx = begin(&db.store).await;
    with_trigger(&mut *tx, "perform pg_advisory_xact_lock(1)").await;
    tx.execute("insert into notes values (1, 'x')", &[]).await.unwrap();

    let mut holder = Session::open(&db.url).await;
    holder.texts("select pg_advisory_lock(1)::text").await;
    let store = db.store.clone();
    let finish = tokio::spawn(async move { store.tasks_finish_guest(host, &end, tx).await });
    let waiting = "select query from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'advisory'";
    let begun = Instant::now();
    while db.texts(waiting).await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the trigger does not run");
    }
    db.run("select from wasaga.task_in for update nowait").await;
    holder.texts("select pg_advisory_unlock(1)::text").await;
    assert!(finish.await.unwrap().unwrap());
}

#[tokio::test]
async fn a_commit_that_is_cut_off_may_have_happened() {
    let db = with_plugin().await;
    let (host, end) = task(&db).await;
    let mut tx = begin(&db.store).await;
    // Defers itself again, past the host's part.
    let speak_last = "if new.id < 2 then
            set constraints all deferred;
            insert into notes values (new.id + 1, 'x');
        else
            raise notice '%', repeat('x', 20000000);
        end if";
    with_trigger(&mut *tx, speak_last).await;
    tx.execute("insert into notes values (1, 'x')", &[]).await.unwrap();
    let ended = db.store.tasks_finish_guest(host, &end, tx).await;
    assert!(matches!(ended, Err(StoreError::Connection(_))), "{ended:?}");
}

/// Makes a deferred trigger on notes, which does this.
async fn with_trigger(tx: &mut dyn GuestTransaction, what: &str) {
    let function = format!(
        "create function act() returns trigger language plpgsql as
         $$ begin {what}; return null; end $$"
    );
    tx.execute(&function, &[]).await.unwrap();
    let trigger = "create constraint trigger act after insert on notes
        deferrable initially deferred for each row execute function act()";
    tx.execute(trigger, &[]).await.unwrap();
}
