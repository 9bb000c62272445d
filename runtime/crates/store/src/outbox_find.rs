//! `wasaga.task_out` by what it holds: newest first, page by page. A page looks at a bounded number of messages, and its
//! cursor goes on from there: a search costs the same whatever it finds.

use serde_json::Value;
use sqlx::{AssertSqlSafe, FromRow, types::Json};
use uuid::Uuid;
use wasaga_domain::{
    clock::UnixMillis,
    ids::SagaId,
    message_search::{MessageFilter, TaskStatus},
};

use crate::{Store, StoreError};

/// How many messages a page looks at, at most.
pub const LOOKS: i64 = 10_000;

/// Some of the messages that fit, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundMessages {
    /// They may be fewer than were asked for, even none, where others follow.
    pub messages: Vec<FoundMessage>,
    /// `after` of the next page; absent: this is the last one.
    pub next: Option<i64>,
}

/// A message, without what it carries.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundMessage {
    /// Its id in the outbox.
    pub id: i64,
    /// The record's own id.
    pub message_id: Uuid,
    /// Where it stands.
    pub status: TaskStatus,
    /// Where to.
    pub topic: String,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The saga that sent it.
    pub saga_id: Option<SagaId>,
    /// Under which it was emitted.
    pub idempotency_key: Option<String>,
    /// What it is about.
    pub aggregate_id: Option<String>,
    /// What it says has happened.
    pub event_type: Option<String>,
    /// Refusals so far.
    pub attempts: i32,
    /// Why it was refused last.
    pub error: Option<Value>,
    /// When it was emitted.
    pub created_at: UnixMillis,
    /// When it was published or given up.
    pub finished_at: Option<UnixMillis>,
}

/// A message with what it carries.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeMessage {
    /// What else is known of it.
    pub found: FoundMessage,
    /// As [`headers`](crate::headers) writes them.
    pub headers: Value,
    /// Absent: a tombstone.
    pub value: Option<Vec<u8>>,
}

#[derive(FromRow)]
struct Row {
    id: i64,
    message_id: Uuid,
    status: String,
    topic: String,
    key: Option<Vec<u8>>,
    saga_id: Option<Uuid>,
    idempotency_key: Option<String>,
    aggregate_id: Option<String>,
    event_type: Option<String>,
    attempts: i32,
    error: Option<Json<Value>>,
    created_ms: i64,
    finished_ms: Option<i64>,
}

#[derive(FromRow)]
struct WholeRow {
    #[sqlx(flatten)]
    row: Row,
    headers: Json<Value>,
    value: Option<Vec<u8>>,
}

const COLUMNS: &str =
    "id, message_id, status, topic, key, saga_id, idempotency_key, aggregate_id, event_type, attempts, error,
     wasaga.millis(created_at) as created_ms, wasaga.millis(finished_at) as finished_ms";

/// What may be looked at, from a cursor ($1) on.
fn looked(filter: &MessageFilter) -> &'static str {
    let all_open = filter.statuses.iter().all(|status| status.is_open());
    if all_open && !filter.statuses.is_empty() {
        // As the index of what waits has it.
        "wasaga.task_out where id < $1 and status in ('wait', 'work') order by id desc"
    } else {
        "wasaga.task_out where id < $1 order by id desc"
    }
}

impl Store {
    /// Up to `limit` of the messages that fit, newest first, from where the page before ended.
    pub async fn task_out_find(
        &self,
        filter: &MessageFilter,
        after: Option<i64>,
        limit: usize,
    ) -> Result<FoundMessages, StoreError> {
        let (after, looked) = (after.unwrap_or(i64::MAX), looked(filter));
        let sql = format!(
            "select {COLUMNS} from (select * from {looked} limit {LOOKS}) as looked
             where ($2::text is null or topic = $2)
               and ($3::text is null or key = convert_to($3, 'UTF8'))
               and (cardinality($4::text[]) = 0 or status = any ($4))
               and ($5::text is null or aggregate_id = $5)
               and ($6::text is null or event_type = $6)
               and ($7::text is null or idempotency_key = $7)
               and created_at <= now() - $8::bigint * interval '1 millisecond'
             order by id desc limit $9"
        );
        let statuses: Vec<_> = filter.statuses.iter().map(|status| status.as_str()).collect();
        let older = i64::try_from(filter.older_than.unwrap_or_default().as_millis());
        let mut rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(after)
            .bind(filter.topic.as_deref())
            .bind(filter.key.as_deref())
            .bind(statuses)
            .bind(filter.aggregate_id.as_deref())
            .bind(filter.event_type.as_deref())
            .bind(filter.idempotency_key.as_deref())
            // A timestamp reaches no farther back than this.
            .bind(older.unwrap_or(i64::MAX).min(9_000_000_000_000))
            .bind(limit as i64 + 1)
            .fetch_all(&self.pool)
            .await?;
        let next = if rows.len() > limit {
            rows.truncate(limit);
            rows.last().map(|row| row.id)
        } else {
            let sql = format!("select id from {looked} offset {LOOKS} - 1 limit 1");
            sqlx::query_scalar(AssertSqlSafe(sql)).bind(after).fetch_optional(&self.pool).await?
        };
        let messages = rows.into_iter().map(Row::message).collect::<Result<_, _>>()?;
        Ok(FoundMessages { messages, next })
    }

    /// The message of this id.
    pub async fn task_out_get(&self, id: i64) -> Result<Option<WholeMessage>, StoreError> {
        let sql = format!("select {COLUMNS}, headers, value from wasaga.task_out where id = $1");
        let row: Option<WholeRow> =
            sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(&self.pool).await?;
        row.map(|WholeRow { row, headers, value }| {
            Ok(WholeMessage { found: row.message()?, headers: headers.0, value })
        })
        .transpose()
    }
}

impl Row {
    fn message(self) -> Result<FoundMessage, StoreError> {
        let status = TaskStatus::parse(&self.status).ok_or_else(|| {
            StoreError::stored("wasaga.task_out", "status", self.id, &self.status)
        })?;
        Ok(FoundMessage {
            id: self.id,
            message_id: self.message_id,
            status,
            topic: self.topic,
            key: self.key,
            saga_id: self.saga_id.map(SagaId),
            idempotency_key: self.idempotency_key,
            aggregate_id: self.aggregate_id,
            event_type: self.event_type,
            attempts: self.attempts,
            error: self.error.map(|error| error.0),
            created_at: UnixMillis(self.created_ms),
            finished_at: self.finished_ms.map(UnixMillis),
        })
    }
}
