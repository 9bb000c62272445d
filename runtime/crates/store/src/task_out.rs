//! `wasaga.task_out`, the outbox, as the relay uses it. Whatever the relay changes names its lane and epoch: a relay
//! whose lane is another's changes nothing.

use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;
use wasaga_domain::ids::{HostId, SagaId};

use crate::{Store, StoreError, lanes::Lane};

/// A message that waits in the outbox.
#[derive(Clone, Debug)]
pub struct TaskOut {
    /// Grows in the order of the emits of one transaction, and of transactions that follow each other.
    pub id: i64,
    /// The record's own id, the same however often it is published.
    pub message_id: Uuid,
    /// The saga that sent it.
    pub saga_id: Option<SagaId>,
    /// Of the step or task that sent it.
    pub idempotency_key: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Where to.
    pub topic: String,
    /// Absent: it has no place in any order.
    pub key: Option<Vec<u8>>,
    /// As [`headers`](crate::headers) writes them.
    pub headers: Value,
    /// Absent: a tombstone.
    pub value: Option<Vec<u8>>,
    /// Refusals so far.
    pub attempts: i32,
    /// Refusals before it is given up; absent: as the relay has it.
    pub max_attempts: Option<i32>,
}

impl TaskOut {
    /// What it takes in memory, roughly.
    pub fn size(&self) -> usize {
        let optional = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        300 + optional(&self.key) + optional(&self.value)
    }
}

/// What a read leaves out.
#[derive(Clone, Debug, Default)]
pub struct Excluded {
    /// Whatever has this id or a lower one: see [`Floor`](crate::task_out_floor::Floor).
    pub after: i64,
    /// Messages that are being published.
    pub ids: Vec<i64>,
    /// Topics that rest.
    pub topics: Vec<String>,
    /// (Topic, key) that rest, as two columns of equal length.
    pub key_topics: Vec<String>,
    /// See `key_topics`.
    pub keys: Vec<Vec<u8>>,
}

/// What became of a change under a lane's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leased<T> {
    /// The lane is still the caller's.
    Held(T),
    /// The lane is another's: nothing was read or changed.
    Lost,
}

/// The outbox, as metrics tell it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backlog {
    /// Messages that wait, counted up to the limit asked for.
    pub waiting: i64,
    /// Age of the first of them in seconds; 0 where none waits.
    pub oldest_seconds: f64,
}

type Columns = (
    bool,
    Vec<i64>,
    Vec<Uuid>,
    Vec<Option<Uuid>>,
    Vec<Option<String>>,
    Vec<Option<String>>,
    Vec<String>,
    Vec<Option<Vec<u8>>>,
    Vec<Json<Value>>,
    Vec<Option<Vec<u8>>>,
    Vec<i32>,
    Vec<Option<i32>>,
);

impl Store {
    /// The first messages that wait, by id, but for those that a plugin has yet to see: at most `limit`, and none after
    /// `bytes` of them are reached. When a plugin's next attempt is due is its own matter: a message that waits for that
    /// holds its place once no plugin takes part any more. Read without a cursor: a transaction that took lower ids may
    /// commit after one with higher ids.
    pub async fn task_out_waiting(
        &self,
        host: HostId,
        lane: Lane,
        excluded: &Excluded,
        limit: i64,
        bytes: i64,
    ) -> Result<Leased<Vec<TaskOut>>, StoreError> {
        // A function in `from` would have what it returns written to a file past 4 MB (work_mem).
        let columns: Columns = sqlx::query_as(
            "select (read).* from (
                 select wasaga.task_out_waiting($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) as read offset 0) at_once",
        )
        .bind(host.0)
        .bind(lane.number)
        .bind(lane.epoch)
        .bind(excluded.after)
        .bind(&excluded.ids)
        .bind(&excluded.topics)
        .bind(&excluded.key_topics)
        .bind(&excluded.keys)
        .bind(limit)
        .bind(bytes)
        .fetch_one(&self.pool)
        .await?;
        Ok(if columns.0 { Leased::Held(rows(columns)) } else { Leased::Lost })
    }

    /// Marks messages as published.
    pub async fn task_out_published(
        &self,
        host: HostId,
        lane: Lane,
        ids: &[i64],
    ) -> Result<Leased<()>, StoreError> {
        let held: bool = sqlx::query_scalar(
            "with mine as materialized (
                 select from wasaga.lanes where flow = 'out' and lane = $1 and epoch = $2 and host_id = $3
             ), marked as (
                 update wasaga.task_out set status = 'ready', finished_at = now(), error = null
                 where id = any ($4) and status = 'wait' and exists (select from mine)
             )
             select exists (select from mine)",
        )
        .bind(lane.number)
        .bind(lane.epoch)
        .bind(host.0)
        .bind(ids)
        .fetch_one(&self.pool)
        .await?;
        Ok(if held { Leased::Held(()) } else { Leased::Lost })
    }

    /// Counts an attempt of each of these messages that was refused, and keeps why.
    pub async fn task_out_refused(
        &self,
        host: HostId,
        lane: Lane,
        ids: &[i64],
        reasons: &[Value],
    ) -> Result<Leased<()>, StoreError> {
        let held: bool = sqlx::query_scalar(
            "with mine as materialized (
                 select from wasaga.lanes where flow = 'out' and lane = $1 and epoch = $2 and host_id = $3
             ), counted as (
                 update wasaga.task_out t set attempts = t.attempts + 1, error = r.reason
                 from unnest($4::bigint[], $5::jsonb[]) as r (id, reason)
                 where t.id = r.id and t.status = 'wait' and exists (select from mine)
             )
             select exists (select from mine)",
        )
        .bind(lane.number)
        .bind(lane.epoch)
        .bind(host.0)
        .bind(ids)
        .bind(reasons.iter().map(Json).collect::<Vec<_>>())
        .fetch_one(&self.pool)
        .await?;
        Ok(if held { Leased::Held(()) } else { Leased::Lost })
    }

    /// Gives a message up: its dead letter is written, and its rollback message, where it has one, is added.
    pub async fn task_out_given_up(
        &self,
        host: HostId,
        lane: Lane,
        id: i64,
        reason: &Value,
    ) -> Result<Leased<()>, StoreError> {
        // The lane's row is locked: its next holder reads what was decided here, and never publishes both messages.
        let held: bool = sqlx::query_scalar(
            "with mine as materialized (
                 select from wasaga.lanes where flow = 'out' and lane = $1 and epoch = $2 and host_id = $3 for share
             ), given_up as materialized (
                 select wasaga.task_out_give_up($4, $5) from mine
             )
             select exists (select from given_up)",
        )
        .bind(lane.number)
        .bind(lane.epoch)
        .bind(host.0)
        .bind(id)
        .bind(Json(reason))
        .fetch_one(&self.pool)
        .await?;
        Ok(if held { Leased::Held(()) } else { Leased::Lost })
    }

    /// Deletes at most `limit` messages that were published longer than `retention_ms` ago, or given up and their dead
    /// letters ended, and counts them.
    pub async fn task_out_forget(&self, retention_ms: i64, limit: i64) -> Result<u64, StoreError> {
        let forgotten = sqlx::query(
            "delete from wasaga.task_out where id in (
                 select id from wasaga.task_out
                 where finished_at < now() - $1 * interval '1 millisecond'
                 order by finished_at limit $2)",
        )
        .bind(retention_ms)
        .bind(limit)
        .execute(&self.pool)
        .await?;
        Ok(forgotten.rows_affected())
    }

    /// What waits in the outbox, counted up to `limit`.
    pub async fn task_out_backlog(&self, limit: i64) -> Result<Backlog, StoreError> {
        let (waiting, oldest_seconds) = sqlx::query_as(
            "select (select count(*) from (
                     select from wasaga.task_out where status in ('wait', 'work') limit $1) as counted),
                 coalesce((select extract(epoch from now() - created_at)::float8 from wasaga.task_out
                     where status in ('wait', 'work') order by id limit 1), 0)",
        )
        .bind(limit)
        .fetch_one(&self.pool)
        .await?;
        Ok(Backlog { waiting, oldest_seconds })
    }
}

fn rows(columns: Columns) -> Vec<TaskOut> {
    let (_, ids, messages, sagas, idempotency, traces, topics, keys, headers, values, tried, most) =
        columns;
    let mut attempts = tried.into_iter().zip(most);
    let payloads = keys.into_iter().zip(headers).zip(values);
    let origins = sagas.into_iter().zip(idempotency).zip(traces);
    let rows = ids.into_iter().zip(messages).zip(topics).zip(origins).zip(payloads);
    rows.map(|((((id, message_id), topic), origin), payload)| {
        let ((saga_id, idempotency_key), traceparent) = origin;
        let ((key, Json(headers)), value) = payload;
        let (attempts, max_attempts) = attempts.next().unwrap_or_default();
        TaskOut {
            id,
            message_id,
            saga_id: saga_id.map(SagaId),
            idempotency_key,
            traceparent,
            topic,
            key,
            headers,
            value,
            attempts,
            max_attempts,
        }
    })
    .collect()
}
