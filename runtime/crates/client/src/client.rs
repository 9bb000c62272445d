//! What an application asks of the outbox.

use std::{slice, sync::Arc};

use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;
use wasaga_domain::message_search::MessageFilter;
use wasaga_kafka::{
    BrokerHealth, ClientOptions, ConfigError, Publisher, PublisherOptions, RelayOptions,
};
use wasaga_store::{
    Outbox, StoreError,
    emit::{EmitError, NewMessage, emit},
    outbox_find::{FoundMessages, WholeMessage},
    publish_first::{PublishError, Published},
    sqlx::PgConnection,
};

use crate::{Relay, RelayError, Write};

/// Writes of one client that were begun and have not ended: more are refused, or a database that is away would fill the
/// memory.
const WRITES: usize = 10_000;

/// Adds a message in the connection's own transaction: it is sent with that one's commit, or not at all. Answers with its
/// id; of a second message under one idempotency key, with the first one's.
pub async fn add(connection: &mut PgConnection, message: &NewMessage) -> Result<i64, EmitError> {
    Ok(one(&add_many(connection, slice::from_ref(message)).await?))
}

/// Adds all of these messages as [`add`] does one, or none; answers with their ids, in order.
pub async fn add_many(
    connection: &mut PgConnection,
    messages: &[NewMessage],
) -> Result<Vec<i64>, EmitError> {
    emit(connection, messages).await
}

/// An outbox, and the broker where there is one. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    outbox: Arc<dyn Outbox>,
    kafka: Option<Kafka>,
    wake: Arc<Notify>,
    health: BrokerHealth,
    writes: TaskTracker,
    room: Arc<Semaphore>,
}

#[derive(Clone)]
struct Kafka {
    options: ClientOptions,
    publisher: Publisher,
}

impl Client {
    /// A client of an outbox: a [`Store`](crate::Store) in Postgres, a [`MemoryOutbox`](crate::MemoryOutbox), or
    /// [one's own](crate::port).
    pub fn new(outbox: impl Into<Arc<dyn Outbox>>) -> Self {
        Self {
            outbox: outbox.into(),
            kafka: None,
            wake: Arc::default(),
            health: BrokerHealth::default(),
            writes: TaskTracker::new(),
            room: Arc::new(Semaphore::new(WRITES)),
        }
    }

    /// The same with a broker, which may be away.
    pub fn with_kafka(
        self,
        options: ClientOptions,
        publisher: PublisherOptions,
    ) -> Result<Self, ConfigError> {
        let (outbox, wake, health) = (self.outbox.clone(), self.wake.clone(), self.health.clone());
        let publisher = Publisher::observing(outbox, &options, publisher, wake, health)?;
        Ok(Self { kafka: Some(Kafka { options, publisher }), ..self })
    }

    /// Stores a message for the relay, in a transaction of its own; answers with its id.
    pub async fn write(&self, message: &NewMessage) -> Result<i64, EmitError> {
        Ok(one(&self.write_many(slice::from_ref(message)).await?))
    }

    /// Stores all of these messages in one transaction, or none; answers with their ids, in order.
    pub async fn write_many(&self, messages: &[NewMessage]) -> Result<Vec<i64>, EmitError> {
        let ids = self.outbox.emit(messages).await?;
        self.wake.notify_one();
        Ok(ids)
    }

    /// Begins to store a message and returns at once; what becomes of it, the handle tells: [`EmitError::Busy`] where 10,000
    /// writes are under way. Must be called on a tokio runtime.
    pub fn write_async(&self, message: NewMessage) -> Write {
        let client = self.clone();
        let room = self.room.clone().try_acquire_owned();
        Write::new(self.writes.spawn(async move {
            let _room = room.map_err(|_| EmitError::Busy(WRITES))?;
            client.write(&message).await
        }))
    }

    /// The same, telling the callback, also of an error, when the message is stored or is not. A callback that panics is
    /// heard of by nobody else.
    pub fn write_then(
        &self,
        message: NewMessage,
        callback: impl FnOnce(Result<i64, EmitError>) + Send + 'static,
    ) {
        let write = self.write_async(message);
        self.writes.spawn(async move { callback(write.await) });
    }

    /// Publishes a message at once, or stores it: where unpublished messages of its key come before it, where the broker
    /// does not acknowledge it in time, and where there is no broker.
    pub async fn publish(&self, message: &NewMessage) -> Result<Published, PublishError> {
        match &self.kafka {
            Some(kafka) => kafka.publisher.publish(message).await,
            None => Ok(Published::Stored { id: self.write(message).await? }),
        }
    }

    /// Up to `limit` of the messages that fit, newest first, from `next` of the page before.
    pub async fn find(
        &self,
        filter: &MessageFilter,
        after: Option<i64>,
        limit: usize,
    ) -> Result<FoundMessages, StoreError> {
        self.outbox.find(filter, after, limit).await
    }

    /// The message of this id, with what it carries; nothing where it is not there, or was deleted after it was published.
    pub async fn message(&self, id: i64) -> Result<Option<WholeMessage>, StoreError> {
        self.outbox.message(id).await
    }

    /// What is known of the broker.
    pub fn health(&self) -> &BrokerHealth {
        &self.health
    }

    /// Starts a relay in this process. It works beside others and beside hosts: of all of them one leads.
    pub async fn start_relay(&self, options: RelayOptions) -> Result<Relay, RelayError> {
        let kafka = self.kafka.as_ref().ok_or(RelayError::NoBroker)?;
        let (outbox, wake, health) = (self.outbox.clone(), self.wake.clone(), self.health.clone());
        Relay::start(outbox, &kafka.options, options, wake, health).await
    }

    /// Waits until the writes that were begun have ended, and what is being published: also what is begun meanwhile, so that
    /// whoever goes on writing keeps it waiting.
    pub async fn close(&self) {
        self.writes.close();
        self.writes.wait().await;
        if let Some(kafka) = &self.kafka {
            kafka.publisher.close().await;
        }
    }
}

/// The id of the one message that was emitted.
fn one(ids: &[i64]) -> i64 {
    ids.first().copied().unwrap_or_default()
}
