//! The consumer's thread: poll, gather, store.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use tokio::{runtime::Handle, sync::Notify};
use wasaga_domain::ports::CatalogSource;
use wasaga_store::Store;

use super::{
    ConsumerOptions,
    context::{Context, Held, Partition},
    keep::Batch,
    record,
};
use crate::{BrokerHealth, oauth::Tokens};

pub(super) const TICK: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const WARN_EVERY: Duration = Duration::from_mins(1);

pub(super) type Client = BaseConsumer<Context>;

pub(super) struct Worker {
    pub(super) store: Store,
    pub(super) config: ClientConfig,
    pub(super) catalog: Arc<dyn CatalogSource>,
    pub(super) options: ConsumerOptions,
    pub(super) wake: Arc<Notify>,
    pub(super) health: BrokerHealth,
    pub(super) tokens: Option<Tokens>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) runtime: Handle,
    pub(super) progress: Progress,
}

/// What a client has come to.
#[derive(Default)]
pub(super) struct Progress {
    /// What it is subscribed to.
    pub(super) topics: Vec<String>,
    /// Partitions to be read again from their stored offset.
    pub(super) astray: HashSet<Partition>,
    /// Records since the chores were done last.
    pub(super) stored: i64,
    chores: Option<Instant>,
    /// When Kafka was told of all stored offsets.
    pub(super) told: Option<Instant>,
    warned: Option<Instant>,
    /// It is at its end.
    broken: bool,
}

impl Worker {
    /// Consumes until it is stopped; a client that is at its end is replaced.
    pub(super) fn run(mut self) {
        let runtime = self.runtime.clone();
        let _entered = runtime.enter();
        while !self.stopping() {
            match self.client() {
                Ok(client) => self.consume(&client),
                Err(error) => tracing::error!(%error, "consumer: no client"),
            }
            if !self.stopping() {
                thread::sleep(SECOND);
            }
        }
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn client(&mut self) -> Result<Client, KafkaError> {
        let start = match self.config.get("auto.offset.reset") {
            Some("latest" | "end" | "largest") => Offset::End,
            _ => Offset::Beginning,
        };
        self.progress = Progress::default();
        self.config.create_with_context(Context {
            store: self.store.clone(),
            runtime: self.runtime.clone(),
            health: self.health.clone(),
            tokens: self.tokens.clone(),
            stop: self.stop.clone(),
            start,
            held: Mutex::new(Held::default()),
        })
    }

    fn consume(&mut self, client: &Client) {
        while !self.stopping() && !self.progress.broken {
            if self.has_chores() {
                (self.progress.chores, self.progress.stored) = (Some(Instant::now()), 0);
                self.follow_catalog(client);
                self.follow_backlog(client);
                self.find_astray(client);
                self.commit(client);
            }
            let batch = self.gather(client);
            if !batch.records.is_empty() {
                self.keep(client, batch);
            }
        }
        self.commit(client);
    }

    /// Each second, and before one topic could take the others' room among the waiting tasks.
    fn has_chores(&self) -> bool {
        let Progress { chores, stored, .. } = self.progress;
        stored >= self.options.max_waiting / 10
            || chores.is_none_or(|done| done.elapsed() >= SECOND)
    }

    /// Polls once; what comes is added, and what went is dropped.
    pub(super) fn poll(&mut self, client: &Client, wait: Duration, batch: &mut Batch) -> bool {
        let polled = client.poll(wait);
        batch.drop_partitions(&client.context().take_revoked());
        match polled {
            None => return false,
            Some(Ok(message)) => {
                let partition = (message.topic().to_owned(), message.partition());
                let expected = client.context().held().next.get(&partition).copied();
                // Not located yet, or to be read again.
                let Some(expected) =
                    expected.filter(|_| !self.progress.astray.contains(&partition))
                else {
                    return true;
                };
                if let Some(expected) = expected
                    && message.offset() < expected
                    && !batch.has(&partition)
                {
                    tracing::warn!(topic = %partition.0, partition = partition.1, expected, offset = message.offset(),
                        "consumer: the partition starts anew");
                }
                let (lanes, max) = (self.options.lanes, self.options.max_record_bytes);
                let (task, size) = record::task(&message, lanes, max);
                batch.push(task, size);
            }
            Some(Err(error)) => self.failed(client, &error),
        }
        true
    }

    fn gather(&mut self, client: &Client) -> Batch {
        let mut batch = Batch::default();
        self.poll(client, TICK, &mut batch);
        let until = Instant::now() + self.options.batch_within;
        while batch.records.len() < self.options.batch
            && batch.bytes < self.options.batch_bytes
            && Instant::now() < until
            && self.poll(client, Duration::ZERO, &mut batch)
        {}
        batch
    }

    fn failed(&mut self, client: &Client, error: &KafkaError) {
        self.health.failed(error, "");
        match error {
            KafkaError::MessageConsumptionFatal(_) => self.progress.broken = true,
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed,
            ) if self.progress.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) => {
                self.progress.warned = Some(Instant::now());
                let exists = |topic: &str| {
                    let metadata = client.fetch_metadata(Some(topic), SECOND);
                    metadata.is_ok_and(|m| m.topics().iter().all(|t| t.error().is_none()))
                };
                let missing: Vec<_> =
                    self.progress.topics.iter().filter(|topic| !exists(topic)).collect();
                tracing::warn!(
                    ?missing,
                    "consumer: topics do not exist, or may not be read; the others go on: create them, or let the broker"
                );
            }
            _ => {}
        }
    }
}
