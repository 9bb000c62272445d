//! `wasaga.task_in`, second half of a life: tasks of held lanes are found, read, and ended together with what they
//! led to; and so are dead letters and messages on their way out in which a plugin takes part. Whatever is written names
//! the lane's epoch, so that a host which lost the lane writes nothing.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use sqlx::{
    FromRow, Postgres,
    postgres::{PgArguments, PgExecutor},
    query::QueryAs,
    types::Json,
};
use wasaga_domain::{
    ids::{Digest, HostId, SagaId, TaskId},
    message::Message,
    outcome::ErrorDetail,
    ports::GuestTransaction,
};

use crate::{
    Store, StoreError,
    commit::{EffectColumns, KeyedEffect},
    flow_sql,
    guest_sql::GuestSqlTransaction,
    headers,
    lanes::{Flow, Lane},
    retention::millis,
    task_out::Excluded,
};

/// A waiting task, without what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingTask {
    /// The task.
    pub id: TaskId,
    /// Its lane.
    pub lane: i16,
    /// Its record's topic.
    pub topic: String,
    /// Its record's partition.
    pub partition: i32,
    /// Its record's key.
    pub key: Option<Bytes>,
    /// Attempts so far.
    pub attempts: u32,
    /// How long it is still to wait.
    pub due_in: Duration,
}

/// What a task carries.
#[derive(Clone, Debug)]
pub struct TaskRecord {
    /// The task.
    pub id: TaskId,
    /// The cluster it came from.
    pub cluster: String,
    /// Its record's partition.
    pub partition: i32,
    /// Its record's offset.
    pub offset: i64,
    /// How often in a row its lane's lease was lost while its guest ran.
    pub interruptions: u16,
    /// The key that all attempts share, where the flow does not leave it to the record.
    pub idempotency_key: Option<String>,
    /// W3C trace context, where the flow does not leave it to the record.
    pub traceparent: Option<String>,
    /// Why a dead letter was given up.
    pub reason: Option<ErrorDetail>,
    /// The record; or what is wrong with the stored one.
    pub message: Result<Message, String>,
}

/// How an attempt of a task ended.
#[derive(Clone, Debug)]
pub struct TaskEnd {
    /// The task.
    pub id: TaskId,
    /// Its lane's lease.
    pub lane: Lane,
    /// What becomes of the task.
    pub result: TaskResult,
    /// Attempts so far, this one included.
    pub attempts: u32,
    /// The code that ran.
    pub digest: Option<Digest>,
}

/// What becomes of a task.
#[derive(Clone, Debug)]
pub enum TaskResult {
    /// It is done; its effects go to the outbox.
    Ready(Vec<KeyedEffect>),
    /// It is tried again after the delay.
    Wait(Duration, ErrorDetail),
    /// It is given up: it goes to the dead letters, or, where it is one, it waits for an operator.
    Error(ErrorDetail),
}

/// A message for whoever waits for it.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The task it came as, which ends with the delivery.
    pub task: TaskId,
    /// The task's lane.
    pub lane: Lane,
    /// Attempts so far, this one included.
    pub attempts: u32,
    /// What the subscription's locator found.
    pub correlation: String,
    /// The message.
    pub message: Message,
}

/// Where a task stands: what a host asks after a commit of which it does not know whether it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskPosition {
    /// The task.
    pub id: TaskId,
    /// Whether it ended, well or not.
    pub ended: bool,
    /// Attempts so far.
    pub attempts: u32,
}

/// Messages of one topic that came early, and that nobody waited for in time.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Expired {
    /// The topic.
    pub topic: String,
    /// How many correlation keys they had.
    pub correlations: i64,
    /// How many there were.
    pub messages: i64,
}

#[derive(FromRow)]
struct WaitingRow {
    id: i64,
    lane: i16,
    topic: String,
    partition: i32,
    key: Option<Vec<u8>>,
    attempts: i32,
    due_ms: i64,
}

#[derive(FromRow)]
struct RecordRow {
    id: i64,
    cluster: String,
    topic: String,
    partition: i32,
    offset: i64,
    interruptions: i16,
    key: Option<Vec<u8>>,
    headers: Json<Value>,
    value: Option<Vec<u8>>,
    idempotency_key: Option<String>,
    traceparent: Option<String>,
    reason: Option<Json<Value>>,
}

const FINISH: &str =
    "select * from wasaga.tasks_finish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
    $14, $15, $16, $17, $18, $19)";
const GUEST_FINISH: &str =
    "select * from wasaga_guest.tasks_finish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
    $12, $13, $14, $15, $16, $17, $18, $19, $20)";

impl Store {
    /// Waiting tasks of these lanes, at most `limit`, in the order of their ids. `topics`: of any flow but `in`, those in
    /// which plugins take part. `excluded`: of any flow but `handle_out`, its `after` alone counts.
    pub async fn tasks_find(
        &self,
        flow: Flow,
        lanes: &[i16],
        topics: &[String],
        excluded: &Excluded,
        limit: i64,
    ) -> Result<Vec<WaitingTask>, StoreError> {
        let query = sqlx::query_as(flow_sql::find(flow))
            .bind(lanes)
            .bind(excluded.after)
            .bind(limit)
            .bind(topics);
        let query = match flow {
            Flow::HandleOut => query
                .bind(&excluded.ids)
                .bind(&excluded.topics)
                .bind(&excluded.key_topics)
                .bind(&excluded.keys),
            Flow::In | Flow::Out | Flow::DeadIn | Flow::DeadOut => query,
        };
        let rows: Vec<WaitingRow> = query.fetch_all(&self.pool).await?;
        let task = |row: WaitingRow| WaitingTask {
            id: TaskId(row.id),
            lane: row.lane,
            topic: row.topic,
            partition: row.partition,
            key: row.key.map(Bytes::from),
            attempts: row.attempts.cast_unsigned(),
            due_in: Duration::from_millis(row.due_ms.cast_unsigned()),
        };
        Ok(rows.into_iter().map(task).collect())
    }

    /// What these tasks carry, in no order; those that ended meanwhile are absent. `called`: those of them that a
    /// guest is about to be called for, which are marked so that the loss of their lane's lease is counted.
    pub async fn tasks_read(
        &self,
        flow: Flow,
        host: HostId,
        ids: &[TaskId],
        called: &[TaskId],
    ) -> Result<Vec<TaskRecord>, StoreError> {
        let numbers = |ids: &[TaskId]| ids.iter().map(|id| id.0).collect::<Vec<i64>>();
        // A mark that is lost when Postgres crashes is none too many: nobody waits for the disk.
        let rows: Vec<RecordRow> = sqlx::query_as(flow_sql::read(flow))
            .bind(numbers(ids))
            .bind(numbers(called))
            .bind(host.0)
            .fetch_all(&self.pool)
            .await?;
        let record = |row: RecordRow| TaskRecord {
            id: TaskId(row.id),
            cluster: row.cluster,
            partition: row.partition,
            offset: row.offset,
            interruptions: row.interruptions.cast_unsigned(),
            idempotency_key: row.idempotency_key,
            traceparent: row.traceparent,
            reason: row.reason.map(|reason| reason_of(&reason)),
            message: headers::from_json(&row.headers).map(|headers| Message {
                topic: row.topic,
                key: row.key.map(Bytes::from),
                headers,
                value: row.value.map(Bytes::from),
            }),
        };
        Ok(rows.into_iter().map(record).collect())
    }

    /// Ends attempts of different tasks of one flow in one transaction; answers with the tasks whose lane still is the
    /// host's. After [`StoreError::Connection`] it may or may not have happened: [`Store::tasks_position`] tells.
    pub async fn tasks_finish(
        &self,
        host: HostId,
        ends: &[TaskEnd],
    ) -> Result<Vec<TaskId>, StoreError> {
        let Some(first) = ends.first() else { return Ok(Vec::new()) };
        let query = sqlx::query_as(FINISH).bind(first.lane.flow.as_str()).bind(host.0);
        finished(EndColumns::new(ends).bind(query), &self.pool).await
    }

    /// Ends an attempt together with its guest's own SQL, or neither: false when the lane is another's.
    pub async fn tasks_finish_guest(
        &self,
        host: HostId,
        end: &TaskEnd,
        guest: Box<dyn GuestTransaction>,
    ) -> Result<bool, StoreError> {
        let token = self.commit_token().await?;
        let mut guest = GuestSqlTransaction::from_port(guest)?;
        let flow = end.lane.flow.as_str();
        let query = sqlx::query_as(GUEST_FINISH).bind(token).bind(flow).bind(host.0);
        let query = EndColumns::new(std::slice::from_ref(end)).bind(query);
        if finished(query, guest.connection().await?).await?.is_empty() {
            return Ok(false);
        }
        guest.commit().await?;
        Ok(true)
    }

    /// Delivers messages to the sagas that wait for them, or keeps them for `early_ttl`, and ends their tasks, in one
    /// transaction. Answers with the sagas that were woken, or, where a lane is another's by now, with nothing: then
    /// nothing was changed.
    pub async fn replies_deliver(
        &self,
        host: HostId,
        replies: &[Reply],
        early_ttl: Duration,
    ) -> Result<Option<Vec<SagaId>>, StoreError> {
        let ends: Vec<TaskEnd> = replies
            .iter()
            .map(|reply| TaskEnd {
                id: reply.task,
                lane: reply.lane,
                result: TaskResult::Ready(Vec::new()),
                attempts: reply.attempts,
                digest: None,
            })
            .collect();
        let mut tx = self.pool.begin().await?;
        let query = sqlx::query_as(FINISH).bind(Flow::In.as_str()).bind(host.0);
        let query = EndColumns::new(&ends).bind(query);
        if finished(query, &mut *tx).await?.len() < replies.len() {
            tx.rollback().await?;
            return Ok(None);
        }
        let messages = || replies.iter().map(|reply| &reply.message);
        let woken: Vec<uuid::Uuid> =
            sqlx::query_scalar("select wasaga.replies_deliver($1, $2, $3, $4, $5, $6)")
                .bind(messages().map(|m| m.topic.as_str()).collect::<Vec<_>>())
                .bind(replies.iter().map(|reply| reply.correlation.as_str()).collect::<Vec<_>>())
                .bind(messages().map(|m| m.key.as_deref()).collect::<Vec<_>>())
                .bind(messages().map(|m| Json(headers::to_json(&m.headers))).collect::<Vec<_>>())
                .bind(messages().map(|m| m.value.as_deref()).collect::<Vec<_>>())
                .bind(millis(early_ttl))
                .fetch_one(&mut *tx)
                .await?;
        tx.commit().await?;
        Ok(Some(woken.into_iter().map(SagaId).collect()))
    }

    /// Where these tasks stand, in no order; absent: long ended, and cleaned away.
    pub async fn tasks_position(
        &self,
        flow: Flow,
        ids: &[TaskId],
    ) -> Result<Vec<TaskPosition>, StoreError> {
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let rows: Vec<(i64, bool, i32)> =
            sqlx::query_as(flow_sql::position(flow)).bind(ids).fetch_all(&self.pool).await?;
        let position = |(id, ended, attempts): (i64, bool, i32)| TaskPosition {
            id: TaskId(id),
            ended,
            attempts: attempts.cast_unsigned(),
        };
        Ok(rows.into_iter().map(position).collect())
    }

    /// Deletes at most `limit` tasks that ended longer than `retention` ago; answers with how many.
    pub async fn task_in_clean(&self, retention: Duration, limit: i64) -> Result<u64, StoreError> {
        let deleted = sqlx::query(
            "delete from wasaga.task_in where id in (
                 select id from wasaga.task_in where finished_at < now() - $1 * interval '1 millisecond'
                 order by finished_at limit $2 for update skip locked)",
        )
        .bind(millis(retention))
        .bind(limit)
        .execute(&self.pool)
        .await?;
        Ok(deleted.rows_affected())
    }

    /// Deletes the messages of at most `limit` correlation keys that came early and that nobody waited for in time;
    /// answers with them, topic by topic.
    pub async fn early_replies_clean(&self, limit: i64) -> Result<Vec<Expired>, StoreError> {
        let expired = sqlx::query_as(
            "with expired as (
                 delete from wasaga.waits where (topic, correlation) in (
                     select topic, correlation from wasaga.waits where expires_at < now() and saga_id is null
                     order by expires_at limit $1 for update skip locked)
                 returning topic, cardinality(arrived_keys) as messages
             )
             select topic, count(*) as correlations, sum(messages) as messages from expired group by topic",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        Ok(expired)
    }
}

/// The arguments of `tasks_finish`, column by column.
#[derive(Default)]
struct EndColumns<'a> {
    ids: Vec<i64>,
    lanes: Vec<i16>,
    epochs: Vec<i64>,
    results: Vec<&'static str>,
    attempts: Vec<i32>,
    due_ms: Vec<Option<i64>>,
    errors: Vec<Option<Json<&'a ErrorDetail>>>,
    digests: Vec<Option<&'a [u8]>>,
    effects: EffectColumns<'a>,
}

impl<'a> EndColumns<'a> {
    fn new(ends: &'a [TaskEnd]) -> Self {
        let mut columns = Self::default();
        for (place, end) in (1..).zip(ends) {
            columns.push(place, end);
        }
        columns
    }

    fn push(&mut self, place: i32, end: &'a TaskEnd) {
        let (result, due, error) = match &end.result {
            TaskResult::Ready(effects) => {
                for effect in effects {
                    self.effects.push(place, effect);
                }
                ("ready", None, None)
            }
            TaskResult::Wait(delay, error) => ("wait", Some(millis(*delay)), Some(Json(error))),
            TaskResult::Error(error) => ("error", None, Some(Json(error))),
        };
        self.ids.push(end.id.0);
        self.lanes.push(end.lane.number);
        self.epochs.push(end.lane.epoch);
        self.results.push(result);
        self.attempts.push(end.attempts.cast_signed());
        self.due_ms.push(due);
        self.errors.push(error);
        self.digests.push(end.digest.as_ref().map(|digest| &digest.0[..]));
    }

    /// Binds the arguments after the flow and the host.
    fn bind(
        self,
        query: QueryAs<'a, Postgres, (i64,), PgArguments>,
    ) -> QueryAs<'a, Postgres, (i64,), PgArguments> {
        let query = query
            .bind(self.ids)
            .bind(self.lanes)
            .bind(self.epochs)
            .bind(self.results)
            .bind(self.attempts)
            .bind(self.due_ms)
            .bind(self.errors)
            .bind(self.digests);
        self.effects.bind(query)
    }
}

async fn finished<'q>(
    query: QueryAs<'q, Postgres, (i64,), PgArguments>,
    executor: impl PgExecutor<'q>,
) -> Result<Vec<TaskId>, StoreError> {
    let ids = query.fetch_all(executor).await?;
    Ok(ids.into_iter().map(|(id,)| TaskId(id)).collect())
}

/// A letter's reason; what the relay and the consumer add to it is for people.
fn reason_of(reason: &Value) -> ErrorDetail {
    let text = |name: &str| reason[name].as_str().unwrap_or_default().to_owned();
    let data = serde_json::from_value(reason["data"].clone()).ok();
    ErrorDetail { code: text("code"), message: text("message"), data }
}
