//! What the database refuses: data that does not fit, and rows that break an invariant, whoever writes them.

use sqlx::{AssertSqlSafe, error::DatabaseError};
use uuid::Uuid;
use wasaga_domain::{journal::EntryKind, outcome::ErrorDetail};
use wasaga_store::{StoreError, commit::Transition};

use crate::stage::{Stage, ending, entry, step, waiting};

async fn code(stage: &Stage, sql: &str) -> String {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut stage.connect().await).await;
    let error = done.expect_err(sql);
    error.as_database_error().and_then(DatabaseError::code).expect(sql).into_owned()
}

#[tokio::test]
async fn the_journal_is_append_only() {
    let stage = Stage::new().await;
    let saga = stage.saga().await;
    stage.commit(&step(saga)).await.unwrap();
    assert_eq!(code(&stage, "update wasaga.journal set attempt = 2").await, "55000");
    assert_eq!(
        code(&stage, "insert into wasaga.journal select * from wasaga.journal").await,
        "23505"
    );
}

#[tokio::test]
async fn checks_repeat_the_invariants() {
    let stage = Stage::new().await;
    let saga = stage.saga().await;
    stage.commit(&waiting(saga, "a")).await.unwrap();
    for change in [
        "sagas set status = 'unheard-of'",
        "sagas set status = 'completed', ready_at = now()",
        "sagas set status = 'failed', host_id = 1",
        "sagas set host_id = 1, ready_at = now()",
        "sagas set sequence = -1",
        "sagas set mail = -1",
        "sagas set interruptions = -1",
        "sagas set version = 0",
        "sagas set nonce = -1",
        "waits set step = null",
        "waits set arrived_keys = array[null]::bytea[]",
    ] {
        assert_eq!(code(&stage, &format!("update wasaga.{change}")).await, "23514", "{change}");
    }
    let insert = |columns: &str, values: &str| {
        format!(
            "insert into wasaga.journal (saga_id, number, kind, direction, attempt, started_at, at{columns})
             values ('{saga}', 9, 'succeeded', 'forward', 1, now(), now(){values})"
        )
    };
    for (columns, values) in [
        (", output", ", ''"),
        (", output_type", ", 'text/plain'"),
        (", undo", ", ''"),
        (", memo", ", ''"),
        (", digest", ", '\\x00'"),
    ] {
        assert_eq!(code(&stage, &insert(columns, values)).await, "23514", "{columns}");
    }
}

/// A text of so many bytes that cannot be compressed to fit an index.
fn endless() -> String {
    (0..200).map(|_| Uuid::new_v4().to_string()).collect()
}

async fn refused(stage: &Stage, transitions: &[Transition]) {
    let refused = stage.store().sagas_commit(stage.host, transitions).await;
    assert!(matches!(refused, Err(StoreError::Data(_))), "{refused:?}");
    let rows = "select (select count(*) from wasaga.journal) + (select count(*) from wasaga.waits)
        + (select sum(sequence) from wasaga.sagas)";
    assert_eq!(stage.number(rows).await, 0, "all or none");
}

#[tokio::test]
async fn bad_data_fails_the_batch_and_leaves_nothing() {
    let stage = Stage::new().await;
    let sagas = stage.sagas(2).await;
    let good = step(sagas[0]);
    // 54000: too long for the index.
    refused(&stage, &[good.clone(), waiting(sagas[1], &endless())]).await;
    // 22021: a text with NUL.
    refused(&stage, &[good.clone(), waiting(sagas[1], "a\0b")]).await;
    let mut typed = step(sagas[1]);
    typed.entries[0].entry.output.as_mut().unwrap().content_type = "a\0b".into();
    refused(&stage, &[good.clone(), typed]).await;
    // 22P05: JSON with NUL.
    let mut told = step(sagas[1]);
    told.entries[0].entry.error = Some(ErrorDetail::new("code", "a\0b"));
    refused(&stage, &[good.clone(), told]).await;
    // 23514: a final saga keeps no lease.
    let mut end = ending(sagas[1]);
    end.settles = false;
    refused(&stage, &[good, end]).await;
}

#[tokio::test]
async fn every_kind_of_entry_fits_the_table() {
    let stage = Stage::new().await;
    let mut transition = step(stage.saga().await);
    transition.entries = EntryKind::ALL.into_iter().map(entry).collect();
    stage.commit(&transition).await.unwrap();
}
