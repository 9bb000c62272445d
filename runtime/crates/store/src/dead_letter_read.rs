//! `wasaga.dead_letter_in` and `wasaga.dead_letter_out`, one letter at a time: what it is, what was done to it, and how
//! many are open.

use serde_json::Value;
use sqlx::{AssertSqlSafe, FromRow, types::Json};
use uuid::Uuid;
use wasaga_domain::{
    clock::UnixMillis,
    dead_letter::{LetterFlow, LetterStatus},
    ids::SagaId,
};

use crate::{Store, StoreError};

/// A dead letter, without what it carries.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundLetter {
    /// From 1, by flow.
    pub id: i64,
    /// The task that was given up.
    pub task_id: i64,
    /// How far it is.
    pub status: LetterStatus,
    /// How it ended, where it has: `handled`, `redriven` or `discarded`.
    pub ending: Option<String>,
    /// Why the task was given up: `{code, message, …}`.
    pub reason: Value,
    /// How often the task was attempted.
    pub attempts: i32,
    /// Its topic.
    pub topic: String,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Where it came from, on its way in.
    pub place: Option<Place>,
    /// Its message, on its way out.
    pub sent: Option<SentAs>,
    /// Whether an operator has changed it.
    pub edited: bool,
    /// When it was given up.
    pub created_at: UnixMillis,
    /// When it ended, where it has.
    pub finished_at: Option<UnixMillis>,
}

/// Where a record was.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Place {
    /// The cluster's id.
    pub cluster: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// What a message on its way out is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentAs {
    /// The id under which no record was published.
    pub message_id: Uuid,
    /// The saga that sent it.
    pub saga_id: Option<SagaId>,
    /// The same for all messages that mean this.
    pub idempotency_key: Option<String>,
    /// What it is about.
    pub aggregate_id: Option<String>,
    /// What it tells.
    pub event_type: Option<String>,
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// What it is.
    pub found: FoundLetter,
    /// As [`headers`](crate::headers) writes them.
    pub headers: Value,
    /// Absent: a tombstone, or a record of which nothing could be kept.
    pub value: Option<Vec<u8>>,
    /// What it was before its first edit, as [`headers::message_from_json`](crate::headers::message_from_json) reads it.
    pub original: Option<Value>,
    /// How often a plugin that handles dead letters was called for it.
    pub handling_attempts: i32,
    /// What came of the last of these calls, where it failed.
    pub handling_error: Option<Value>,
    /// What operators did to it, in order.
    pub verbs: Vec<LetterAudit>,
}

/// What an operator did to a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterAudit {
    /// `edit`, `redrive` or `discard`.
    pub verb: String,
    /// Who, where they said so.
    pub by: Option<String>,
    /// Why.
    pub reason: String,
    /// The new task of a redrive.
    pub task_id: Option<i64>,
    /// When.
    pub at: UnixMillis,
}

#[derive(FromRow)]
pub(crate) struct FoundRow {
    pub(crate) id: i64,
    task_id: i64,
    status: String,
    ending: Option<String>,
    reason: Json<Value>,
    attempts: i32,
    topic: String,
    key: Option<Vec<u8>>,
    cluster: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    message_id: Option<Uuid>,
    saga_id: Option<Uuid>,
    idempotency_key: Option<String>,
    aggregate_id: Option<String>,
    event_type: Option<String>,
    edited: bool,
    created_ms: i64,
    finished_ms: Option<i64>,
}

#[derive(FromRow)]
struct LetterRow {
    #[sqlx(flatten)]
    found: FoundRow,
    headers: Json<Value>,
    value: Option<Vec<u8>>,
    original: Option<Json<Value>>,
    handling_attempts: i32,
    handling_error: Option<Json<Value>>,
}

#[derive(FromRow)]
struct AuditRow {
    verb: String,
    by: Option<String>,
    reason: String,
    task_id: Option<i64>,
    at_ms: i64,
}

/// The table of a flow's letters.
pub(crate) fn table(flow: LetterFlow) -> &'static str {
    match flow {
        LetterFlow::In => "wasaga.dead_letter_in",
        LetterFlow::Out => "wasaga.dead_letter_out",
    }
}

/// The columns of [`FoundRow`].
pub(crate) fn found_columns(flow: LetterFlow) -> String {
    let of_flow = match flow {
        LetterFlow::In => {
            "cluster, partition, \"offset\", null::uuid as message_id, null::uuid as saga_id,
             null as idempotency_key, null as aggregate_id, null as event_type"
        }
        LetterFlow::Out => {
            "null as cluster, null::int as partition, null::bigint as \"offset\", message_id, saga_id,
             idempotency_key, aggregate_id, event_type"
        }
    };
    format!(
        "id, task_id, status, ending, reason, attempts, topic, key, {of_flow}, original is not null as edited,
         wasaga.millis(created_at) as created_ms, wasaga.millis(finished_at) as finished_ms"
    )
}

impl FoundRow {
    pub(crate) fn letter(self, flow: LetterFlow) -> Result<FoundLetter, StoreError> {
        let Self { id, status, cluster, partition, offset, .. } = self;
        let unfit = || StoreError::stored(table(flow), "status", id, &status);
        let place = cluster.zip(partition).zip(offset);
        Ok(FoundLetter {
            id,
            task_id: self.task_id,
            status: LetterStatus::parse(&status).ok_or_else(unfit)?,
            ending: self.ending,
            reason: self.reason.0,
            attempts: self.attempts,
            topic: self.topic,
            key: self.key,
            place: place.map(|((cluster, partition), offset)| Place { cluster, partition, offset }),
            sent: self.message_id.map(|message_id| SentAs {
                message_id,
                saga_id: self.saga_id.map(SagaId),
                idempotency_key: self.idempotency_key,
                aggregate_id: self.aggregate_id,
                event_type: self.event_type,
            }),
            edited: self.edited,
            created_at: UnixMillis(self.created_ms),
            finished_at: self.finished_ms.map(UnixMillis),
        })
    }
}

impl Store {
    /// The letter of this id.
    pub async fn dead_letter_get(
        &self,
        flow: LetterFlow,
        id: i64,
    ) -> Result<Option<Letter>, StoreError> {
        let (table, columns) = (table(flow), found_columns(flow));
        let sql = format!(
            "select {columns}, headers, value, original, handling_attempts, handling_error
             from {table} where id = $1"
        );
        let row: Option<LetterRow> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Letter {
            found: row.found.letter(flow)?,
            headers: row.headers.0,
            value: row.value,
            original: row.original.map(|original| original.0),
            handling_attempts: row.handling_attempts,
            handling_error: row.handling_error.map(|error| error.0),
            verbs: self.dead_letter_audits(flow, id).await?,
        }))
    }

    async fn dead_letter_audits(
        &self,
        flow: LetterFlow,
        id: i64,
    ) -> Result<Vec<LetterAudit>, StoreError> {
        let rows: Vec<AuditRow> = sqlx::query_as(
            "select verb, by, reason, task_id, wasaga.millis(at) as at_ms from wasaga.dead_letter_verbs
             where flow = $1 and letter_id = $2 order by number",
        )
        .bind(flow.as_str())
        .bind(id)
        .fetch_all(&self.pool)
        .await?;
        let audit = |row: AuditRow| LetterAudit {
            verb: row.verb,
            by: row.by,
            reason: row.reason,
            task_id: row.task_id,
            at: UnixMillis(row.at_ms),
        };
        Ok(rows.into_iter().map(audit).collect())
    }
}
