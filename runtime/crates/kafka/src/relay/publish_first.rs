//! Publish-first: a message goes to the broker at once, and into the outbox for the relay where the broker does not
//! acknowledge it in time, or where unpublished messages of its key come before it. It has one message id whichever way
//! it goes: a record that arrived although nobody heard of it is the same as the one that the relay sends.

use std::{
    error::Error,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    error::KafkaError,
    producer::{FutureProducer, FutureRecord, future_producer::Delivery},
};
use tokio::sync::{Notify, Semaphore};
use wasaga_store::{
    Outbox,
    emit::{EmitError, NewMessage},
    publish_first::{First, PublishError, Published, Unpublished},
    task_out::TaskOut,
};

use super::{
    producer::headers_of,
    verdict::{Failure, Verdict},
};
use crate::{
    BrokerHealth, ClientOptions, ConfigError, health,
    oauth::{self, Tokens},
};

/// How messages are published first.
#[derive(Clone, Copy, Debug)]
pub struct PublisherOptions {
    /// How long the broker has to acknowledge a message, to a second or so; then it is stored.
    pub within: Duration,
    /// Messages with the broker at a time, each of which holds a connection to the database; more are stored at once.
    pub at_once: usize,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self { within: Duration::from_secs(2), at_once: 4 }
    }
}

/// Publishes messages before they are stored.
pub struct Publisher {
    store: Arc<dyn Outbox>,
    config: ClientConfig,
    producer: RwLock<FutureProducer<Context>>,
    at_once: Semaphore,
    wake: Arc<Notify>,
    context: Context,
}

#[derive(Clone)]
struct Context {
    health: BrokerHealth,
    tokens: Option<Tokens>,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        health::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.health.failed(&error, reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        oauth::token(self.tokens.as_ref())
    }
}

impl Publisher {
    /// A publisher; the broker and the database may be away. `wake` is notified of each message that was stored.
    pub fn new(
        store: impl Into<Arc<dyn Outbox>>,
        client: &ClientOptions,
        options: PublisherOptions,
        wake: Arc<Notify>,
        health: BrokerHealth,
    ) -> Result<Self, ConfigError> {
        let config = client.publisher(options.within);
        let context = Context { health, tokens: client.tokens() };
        let producer = config.create_with_context(context.clone());
        let producer = producer.map_err(|error| ConfigError::Together(error.to_string()))?;
        Ok(Self {
            store: store.into(),
            config,
            producer: RwLock::new(producer),
            at_once: Semaphore::new(options.at_once),
            wake,
            context,
        })
    }

    /// Publishes a message, or stores it. Whoever has no answer, as one of both died, has nothing that counts: the record may
    /// have been published, but the message was not accepted.
    pub async fn publish(&self, message: &NewMessage) -> Result<Published, PublishError> {
        match self.store.emit_first(message).await? {
            First::Known(id) => Ok(Published::Known { id }),
            First::Stored(id) => Ok(self.stored(id)),
            First::Publish(unpublished) => self.produce(unpublished).await,
        }
    }

    async fn produce(&self, unpublished: Box<dyn Unpublished>) -> Result<Published, PublishError> {
        let id = unpublished.task().id;
        if let Ok(_permit) = self.at_once.try_acquire() {
            match self.deliver(unpublished.task()).await {
                Ok(Delivery { partition, offset, .. }) => {
                    unpublished.published().await.map_err(EmitError::from)?;
                    metrics::counter!("wasaga_outbox_published_first_total").increment(1);
                    return Ok(Published::Published { id, partition, offset });
                }
                Err(Failure { verdict: Verdict::Never, reason }) => {
                    let why = reason["message"].as_str().unwrap_or_default();
                    return Err(PublishError::Refused(why.to_owned()));
                }
                Err(Failure { verdict, reason }) => {
                    tracing::debug!(task_out = id, %reason, "publish-first: the relay goes on");
                    if verdict == Verdict::NewProducer {
                        self.replace_producer();
                    }
                }
            }
        }
        unpublished.stored().await.map_err(EmitError::from)?;
        Ok(self.stored(id))
    }

    fn stored(&self, id: i64) -> Published {
        self.wake.notify_one();
        Published::Stored { id }
    }

    /// Ends with the broker's answer, or once the record can no longer be sent.
    async fn deliver(&self, task: &TaskOut) -> Result<Delivery, Failure> {
        let headers =
            headers_of(task).map_err(|why| Failure::of_row(&format!("headers: {why}")))?;
        let mut record = FutureRecord::<[u8], [u8]>::to(&task.topic).headers(headers);
        record.key = task.key.as_deref();
        record.payload = task.value.as_deref();
        let producer = self.producer.read().unwrap_or_else(PoisonError::into_inner).clone();
        let delivery = producer.send_result(record).map_err(|(error, _)| Failure::from(&error))?;
        match delivery.await {
            Ok(delivered) => delivered.map_err(|(error, _)| Failure::from(&error)),
            Err(_) => Err(Failure::from(&KafkaError::Canceled)),
        }
    }

    fn replace_producer(&self) {
        tracing::warn!("publish-first: the producer is at its end and is replaced");
        match self.config.create_with_context(self.context.clone()) {
            Ok(producer) => {
                *self.producer.write().unwrap_or_else(PoisonError::into_inner) = producer;
            }
            Err(error) => tracing::error!(%error, "publish-first: no producer"),
        }
    }
}
