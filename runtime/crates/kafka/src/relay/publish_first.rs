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
    error::{KafkaError, KafkaResult},
    producer::{FutureProducer, FutureRecord, future_producer::Delivery},
    statistics::Statistics,
};
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinError,
};
use tokio_util::task::TaskTracker;
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

/// Publishes messages before they are stored. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
    publishing: TaskTracker,
}

struct Shared {
    store: Arc<dyn Outbox>,
    config: ClientConfig,
    producer: RwLock<Arc<Producer>>,
    at_once: Semaphore,
    wake: Arc<Notify>,
    context: Context,
}

struct Producer(Option<FutureProducer<Context>>);

impl Drop for Producer {
    /// Joins a thread, closes connections and may ask for a token: nothing for a thread of the runtime.
    fn drop(&mut self) {
        let producer = self.0.take();
        std::thread::spawn(move || drop(producer));
    }
}

#[derive(Clone)]
struct Context {
    health: BrokerHealth,
    /// Whether it tells the health of its connections.
    observes: bool,
    tokens: Option<Tokens>,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        health::log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        if self.observes {
            self.health.observed(&statistics);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.health.failed(&error, reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        oauth::token(self.tokens.as_ref())
    }
}

impl Publisher {
    /// A publisher; the broker and the database may be away. `wake` is notified of each message that was stored, and
    /// `health` is told of errors: of connections the process's consumer tells.
    pub fn new(
        store: impl Into<Arc<dyn Outbox>>,
        client: &ClientOptions,
        options: PublisherOptions,
        wake: Arc<Notify>,
        health: BrokerHealth,
    ) -> Result<Self, ConfigError> {
        let context = Context { health, observes: false, tokens: client.tokens() };
        Self::with_context(store.into(), client.publisher(options.within), options, wake, context)
    }

    /// The same for a process without a consumer: `health` is told of this one's connections.
    pub fn observing(
        store: impl Into<Arc<dyn Outbox>>,
        client: &ClientOptions,
        options: PublisherOptions,
        wake: Arc<Notify>,
        health: BrokerHealth,
    ) -> Result<Self, ConfigError> {
        let context = Context { health, observes: true, tokens: client.tokens() };
        let mut config = client.publisher(options.within);
        config.set("statistics.interval.ms", "1000");
        Self::with_context(store.into(), config, options, wake, context)
    }

    fn with_context(
        store: Arc<dyn Outbox>,
        config: ClientConfig,
        options: PublisherOptions,
        wake: Arc<Notify>,
        context: Context,
    ) -> Result<Self, ConfigError> {
        let producer = Producer::new(&config, &context);
        let producer = producer.map_err(|error| ConfigError::Together(error.to_string()))?;
        let producer = RwLock::new(Arc::new(producer));
        let at_once = Semaphore::new(options.at_once);
        let shared = Shared { store, config, producer, at_once, wake, context };
        Ok(Self { shared: Arc::new(shared), publishing: TaskTracker::new() })
    }

    /// Publishes a message, or stores it. What was begun goes on where the caller goes away. Whoever has no answer, as one
    /// of both processes died, has nothing that counts: the record may have been published, but the message was not
    /// accepted.
    pub async fn publish(&self, message: &NewMessage) -> Result<Published, PublishError> {
        let (shared, message) = (self.shared.clone(), message.clone());
        let publishing = self.publishing.spawn(async move { shared.publish(&message).await });
        let aborted = |error: JoinError| Err(EmitError::Aborted(error.to_string()).into());
        publishing.await.unwrap_or_else(aborted)
    }

    /// Waits for what is being published, also by callers that have gone.
    pub async fn close(&self) {
        self.publishing.close();
        self.publishing.wait().await;
    }
}

impl Shared {
    async fn publish(&self, message: &NewMessage) -> Result<Published, PublishError> {
        match self.store.emit_first(message).await? {
            First::Known(id) => Ok(Published::Known { id }),
            First::Stored(id) => Ok(self.stored(id)),
            First::Publish(unpublished) => self.produce(unpublished).await,
        }
    }

    async fn produce(&self, unpublished: Box<dyn Unpublished>) -> Result<Published, PublishError> {
        let id = unpublished.task().id;
        if let Ok(_permit) = self.at_once.try_acquire() {
            let producer = self.producer();
            match producer.deliver(unpublished.task()).await {
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
                        self.replace(&producer);
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

    fn producer(&self) -> Arc<Producer> {
        self.producer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces a producer that is at its end, unless somebody has.
    fn replace(&self, ended: &Arc<Producer>) {
        let mut producer = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&producer, ended) {
            return;
        }
        tracing::warn!("publish-first: the producer is at its end and is replaced");
        match Producer::new(&self.config, &self.context) {
            Ok(new) => *producer = Arc::new(new),
            Err(error) => tracing::error!(%error, "publish-first: no producer"),
        }
    }
}

impl Producer {
    fn new(config: &ClientConfig, context: &Context) -> KafkaResult<Self> {
        Ok(Self(Some(config.create_with_context(context.clone())?)))
    }

    /// Ends with the broker's answer, or once the record can no longer be sent.
    async fn deliver(&self, task: &TaskOut) -> Result<Delivery, Failure> {
        let Some(producer) = &self.0 else {
            return Err(Failure::from(&KafkaError::Canceled));
        };
        let headers =
            headers_of(task).map_err(|why| Failure::of_row(&format!("headers: {why}")))?;
        let mut record = FutureRecord::<[u8], [u8]>::to(&task.topic).headers(headers);
        record.key = task.key.as_deref();
        record.payload = task.value.as_deref();
        let delivery = producer.send_result(record).map_err(|(error, _)| Failure::from(&error))?;
        match delivery.await {
            Ok(delivered) => delivered.map_err(|(error, _)| Failure::from(&error)),
            Err(_) => Err(Failure::from(&KafkaError::Canceled)),
        }
    }
}
