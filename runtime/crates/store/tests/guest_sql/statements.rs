//! Single statements: their values, their errors, their time.

use std::time::{Duration, Instant};

use wasaga_domain::{
    clock::{Clock, SystemClock},
    ports::GuestDatabase,
    sql::SqlValue,
};
use wasaga_store::StoreError;

use crate::stage::{begin, one, plugin, task, with_plugin};

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
async fn a_failed_statement_ends_the_transaction() {
    let db = with_plugin().await;
    let (host, end) = task(&db).await;
    let mut tx = begin(&db.store).await;
    assert_eq!(tx.execute("selec", &[]).await.unwrap_err().code, "42601");
    assert_eq!(
        tx.execute("insert into notes values (2, 'x')", &[]).await.unwrap_err().code,
        "25P02"
    );
    let refused = db.store.tasks_finish_guest(host, &end, tx).await;
    assert!(matches!(refused, Err(StoreError::Data(_))), "{refused:?}");
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
