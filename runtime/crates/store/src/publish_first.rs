//! A message that its sender publishes before it is committed: it is emitted in a transaction that stays open until the
//! broker has answered. So its ids, its headers and the answer to its idempotency key are those of any emit, and when
//! the broker does not take it, the commit leaves it to the relay.

use async_trait::async_trait;
use serde_json::Value;
use sqlx::{FromRow, Postgres, Transaction, types::Json};
use uuid::Uuid;

use crate::{
    Store, StoreError,
    emit::{EmitError, NewMessage, emit},
    task_out::TaskOut,
};

/// How many unpublished messages are looked through for one of the same key: behind more than these the relay is late, and
/// another message may as well queue.
pub(crate) const AHEAD: usize = 1_000;

/// What is to be done with a message that was emitted to be published at once.
pub enum First {
    /// It may be published now.
    Publish(Box<dyn Unpublished>),
    /// Messages of its key are to be published before, or a plugin has to see it: it is stored, under this id.
    Stored(i64),
    /// It was emitted under its idempotency key before, with this id.
    Known(i64),
}

/// A message that is not committed. Dropped, it was never emitted.
#[async_trait]
pub trait Unpublished: Send {
    /// The record to publish.
    fn task(&self) -> &TaskOut;

    /// Commits it as published.
    async fn published(self: Box<Self>) -> Result<(), StoreError>;

    /// Commits it for the relay to publish.
    async fn stored(self: Box<Self>) -> Result<(), StoreError>;
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The broker has it.
    Published {
        /// Its id in the outbox.
        id: i64,
        /// Of its topic.
        partition: i32,
        /// In the partition.
        offset: i64,
    },
    /// The relay will publish it.
    Stored {
        /// Its id in the outbox.
        id: i64,
    },
    /// It was emitted under its idempotency key before, and nothing more is sent.
    Known {
        /// The first one's id in the outbox.
        id: i64,
    },
}

/// Why a message was neither published nor stored.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The outbox does not take it.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// No broker will ever take it: the broker's own words.
    #[error("the broker does not take the message, and never will: {0}")]
    Refused(String),
}

struct InTransaction {
    transaction: Transaction<'static, Postgres>,
    task: TaskOut,
}

#[derive(FromRow)]
struct Row {
    is_new: bool,
    queues: bool,
    message_id: Uuid,
    idempotency_key: Option<String>,
    traceparent: Option<String>,
    topic: String,
    key: Option<Vec<u8>>,
    headers: Json<Value>,
    value: Option<Vec<u8>>,
    max_attempts: Option<i32>,
}

impl Store {
    /// Emits a message that is to be published at once, unless others of its key come first, or a plugin does.
    pub async fn task_out_first(&self, message: &NewMessage) -> Result<First, EmitError> {
        let mut transaction = self.pool.begin().await?;
        let ids = emit(&mut *transaction, std::slice::from_ref(message)).await?;
        let id = ids.first().copied().unwrap_or_default();
        let row: Option<Row> = sqlx::query_as(
            "with ahead as materialized (
                 select topic, key from wasaga.task_out where status in ('wait', 'work') and id <> $1 limit $2 + 1
             )
             select xmin = pg_current_xact_id()::xid as is_new,
                 exists (select from wasaga.handled_topics h where h.topic = t.topic and (t.id <= h.from_id) is not true)
                     or (key is not null and ((select count(*) from ahead) > $2
                         or exists (select from ahead where ahead.topic = t.topic and ahead.key = t.key))) as queues,
                 message_id, idempotency_key, traceparent, topic, key, headers, value, max_attempts
             from wasaga.task_out t where id = $1",
        )
        .bind(id)
        .bind(AHEAD as i64)
        .fetch_optional(&mut *transaction)
        .await?;
        // One that is gone was published, and its key is still known.
        let Some(row) = row.filter(|row| row.is_new) else {
            return Ok(First::Known(id));
        };
        if row.queues {
            transaction.commit().await?;
            return Ok(First::Stored(id));
        }
        let task = TaskOut {
            id,
            message_id: row.message_id,
            saga_id: None,
            idempotency_key: row.idempotency_key,
            traceparent: row.traceparent,
            topic: row.topic,
            key: row.key,
            headers: row.headers.0,
            value: row.value,
            attempts: 0,
            max_attempts: row.max_attempts,
        };
        Ok(First::Publish(Box::new(InTransaction { transaction, task })))
    }
}

#[async_trait]
impl Unpublished for InTransaction {
    fn task(&self) -> &TaskOut {
        &self.task
    }

    async fn published(self: Box<Self>) -> Result<(), StoreError> {
        let Self { mut transaction, task } = *self;
        sqlx::query(
            "update wasaga.task_out set status = 'ready', finished_at = clock_timestamp() where id = $1",
        )
        .bind(task.id)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn stored(self: Box<Self>) -> Result<(), StoreError> {
        self.transaction.commit().await?;
        Ok(())
    }
}
