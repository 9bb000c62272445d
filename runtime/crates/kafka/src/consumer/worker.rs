//! The consumer's thread: poll, gather, store.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use tokio::{runtime::Handle, sync::Notify, time::timeout};
use wasaga_domain::ports::CatalogSource;
use wasaga_store::{
    Store, StoreError,
    task_in_insert::{Move, NewTaskIn},
};

use super::{
    ConsumerOptions,
    context::{Context, Held, PATIENCE, Partition},
    record,
};
use crate::BrokerHealth;

const TICK: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const WARN_EVERY: Duration = Duration::from_secs(60);
const SEEK: Duration = Duration::from_secs(1);

type Client = BaseConsumer<Context>;

/// Records in hand.
#[derive(Default)]
struct Batch {
    records: Vec<NewTaskIn>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, record: NewTaskIn) {
        let optional = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        self.bytes += 200 + optional(&record.key) + optional(&record.value);
        self.records.push(record);
    }

    /// Drops what is of these partitions.
    fn drop_partitions(&mut self, gone: &[Partition]) {
        if !gone.is_empty() {
            self.records
                .retain(|record| !gone.contains(&partition(record)));
        }
    }
}

fn partition(record: &NewTaskIn) -> Partition {
    (record.topic.clone(), record.partition)
}

pub(super) struct Worker {
    store: Store,
    config: ClientConfig,
    catalog: Arc<dyn CatalogSource>,
    options: ConsumerOptions,
    wake: Arc<Notify>,
    health: BrokerHealth,
    stop: Arc<AtomicBool>,
    runtime: Handle,
    topics: Vec<String>,
    /// Partitions to be read again from their stored offset.
    astray: HashSet<Partition>,
    /// Stored offsets that Kafka does not know yet.
    commits: HashMap<Partition, i64>,
    full: bool,
    next_second: Instant,
    next_warning: Instant,
    broken: bool,
}

impl Worker {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, by the function that has them all"
    )]
    pub(super) fn new(
        store: Store,
        config: ClientConfig,
        catalog: Arc<dyn CatalogSource>,
        options: ConsumerOptions,
        wake: Arc<Notify>,
        health: BrokerHealth,
        stop: Arc<AtomicBool>,
        runtime: Handle,
    ) -> Self {
        let now = Instant::now();
        Self {
            store,
            config,
            catalog,
            options,
            wake,
            health,
            stop,
            runtime,
            topics: Vec::new(),
            astray: HashSet::new(),
            commits: HashMap::new(),
            full: false,
            next_second: now,
            next_warning: now,
            broken: false,
        }
    }

    /// Consumes until it is stopped; a client that is at its end is replaced.
    pub(super) fn run(mut self) {
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

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn client(&mut self) -> Result<Client, KafkaError> {
        let start = match self.config.get("auto.offset.reset") {
            Some("latest" | "end" | "largest") => Offset::End,
            _ => Offset::Beginning,
        };
        self.topics.clear();
        self.astray.clear();
        self.commits.clear();
        (self.broken, self.full) = (false, false);
        self.config.create_with_context(Context {
            store: self.store.clone(),
            runtime: self.runtime.clone(),
            health: self.health.clone(),
            stop: self.stop.clone(),
            start,
            held: Mutex::new(Held::default()),
        })
    }

    fn consume(&mut self, client: &Client) {
        while !self.stopping() && !self.broken {
            if self.next_second <= Instant::now() {
                self.next_second = Instant::now() + SECOND;
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

    /// Polls once; what comes is added, and what went is dropped.
    fn poll(&mut self, client: &Client, wait: Duration, batch: &mut Batch) -> bool {
        let polled = client.poll(wait);
        batch.drop_partitions(&client.context().take_revoked());
        match polled {
            None => return false,
            Some(Ok(message)) => {
                let partition = (message.topic().to_owned(), message.partition());
                let expected = client.context().held().next.get(&partition).copied();
                // Not located yet, or to be read again.
                let Some(expected) = expected.filter(|_| !self.astray.contains(&partition)) else {
                    return true;
                };
                if let Some(expected) = expected
                    && message.offset() < expected
                    && !batch.records.iter().any(|record| {
                        record.topic == partition.0 && record.partition == partition.1
                    })
                {
                    tracing::warn!(topic = %partition.0, partition = partition.1, expected, offset = message.offset(),
                        "consumer: the partition starts anew");
                }
                let (lanes, max) = (self.options.lanes, self.options.max_record_bytes);
                batch.push(record::task(&message, lanes, max));
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
            KafkaError::MessageConsumptionFatal(_) => self.broken = true,
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed,
            ) if self.next_warning <= Instant::now() => {
                self.next_warning = Instant::now() + WARN_EVERY;
                let exists = |topic: &str| {
                    let metadata = client.fetch_metadata(Some(topic), SEEK);
                    metadata.is_ok_and(|m| m.topics().iter().all(|t| t.error().is_none()))
                };
                let missing: Vec<_> = self.topics.iter().filter(|topic| !exists(topic)).collect();
                tracing::warn!(
                    ?missing,
                    "consumer: topics do not exist, or may not be read; the others go on: create them, or let the broker"
                );
            }
            _ => {}
        }
    }

    /// Stores a batch, however long Postgres takes, unless it is stopped meanwhile: then it is consumed again later.
    /// A batch whose data Postgres refuses is halved until the culprit is alone.
    fn keep(&mut self, client: &Client, mut batch: Batch) {
        let (mut size, mut pause, mut paused) = (batch.records.len(), TICK, false);
        while !batch.records.is_empty() && !self.stopping() {
            size = size.clamp(1, batch.records.len());
            match self.insert(client, &batch.records[..size]) {
                Ok(lost) => {
                    batch.records.drain(..size);
                    batch.drop_partitions(&lost);
                    (size, pause) = (batch.records.len(), TICK);
                    continue;
                }
                Err(StoreError::Data(error)) if size == 1 => {
                    tracing::error!(%error, "consumer: Postgres refuses a record: it goes to the dead letters");
                    record::refused_by_postgres(&mut batch.records[0], &error.to_string());
                    continue;
                }
                Err(StoreError::Data(_)) => {
                    size /= 2;
                    continue;
                }
                Err(error) => tracing::warn!(%error, records = size,
                    "consumer: a batch can't be stored; it is kept and tried again"),
            }
            // Polling keeps the consumer in its group.
            let until = Instant::now() + pause;
            while Instant::now() < until && !self.stopping() {
                hold(client, true);
                paused = true;
                self.poll(client, TICK, &mut batch);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        if paused && !self.full {
            hold(client, false);
        }
    }

    /// Stores records and moves their partitions' offsets. Answers with the partitions that are another's by now.
    fn insert(
        &mut self,
        client: &Client,
        records: &[NewTaskIn],
    ) -> Result<Vec<Partition>, StoreError> {
        let next: BTreeMap<Partition, i64> = records
            .iter()
            .map(|record| (partition(record), record.offset + 1))
            .collect();
        let (cluster, moves) = {
            let held = client.context().held();
            let moves = next.into_iter().filter_map(|(partition, next)| {
                let expected = *held.next.get(&partition)?;
                let (topic, partition) = partition;
                Some(Move {
                    topic,
                    partition,
                    expected,
                    next,
                })
            });
            (held.cluster.clone(), moves.collect::<Vec<_>>())
        };
        let stored = timeout(
            PATIENCE,
            self.store.task_in_insert(&cluster, &moves, records),
        );
        let made = self.runtime.block_on(stored).unwrap_or_else(|_| {
            Err(StoreError::Connection(
                io::Error::from(io::ErrorKind::TimedOut).into(),
            ))
        })?;
        let mut lost = Vec::new();
        for (
            Move {
                topic,
                partition,
                next,
                ..
            },
            made,
        ) in moves.into_iter().zip(made)
        {
            let partition = (topic, partition);
            if made {
                client
                    .context()
                    .held()
                    .next
                    .insert(partition.clone(), Some(next));
                self.commits.insert(partition, next);
            } else {
                tracing::warn!(topic = %partition.0, partition = partition.1,
                    "consumer: the offset is not what it was: the partition is another's, and its records are dropped");
                lost.push(partition);
            }
        }
        let stored = records
            .iter()
            .filter(|record| !lost.contains(&partition(record)))
            .count();
        metrics::counter!("wasaga_inbox_records_total").increment(stored as u64);
        self.astray.extend(lost.iter().cloned());
        self.find_astray(client);
        if stored > 0 {
            self.wake.notify_one();
        }
        Ok(lost)
    }

    /// Has partitions that went astray read from their stored offset; until then their records are dropped.
    fn find_astray(&mut self, client: &Client) {
        if self.astray.is_empty() {
            return;
        }
        let context = client.context();
        self.astray
            .retain(|partition| context.held().next.contains_key(partition));
        let cluster = context.held().cluster.clone();
        let partitions: Vec<Partition> = self.astray.iter().cloned().collect();
        let Some(stored) = context.stored(&cluster, &partitions) else {
            return;
        };
        for (partition, next) in partitions.into_iter().zip(stored) {
            match client.seek(&partition.0, partition.1, context.position(next), SEEK) {
                Ok(()) => {
                    self.astray.remove(&partition);
                    context.held().next.insert(partition, next);
                }
                Err(error) => tracing::warn!(%error, topic = %partition.0, partition = partition.1,
                    "consumer: a partition can't be read again yet"),
            }
        }
    }

    fn follow_catalog(&mut self, client: &Client) {
        let topics = self.catalog.catalog().topics();
        if topics == self.topics {
            return;
        }
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let done = if names.is_empty() {
            client.unsubscribe();
            Ok(())
        } else {
            client.subscribe(&names)
        };
        match done {
            Ok(()) => {
                tracing::info!(?topics, "consumer: subscribed");
                self.topics = topics;
            }
            Err(error) => tracing::error!(%error, ?topics, "consumer: can't subscribe"),
        }
    }

    /// Waits while too many tasks do.
    fn follow_backlog(&mut self, client: &Client) {
        let count = timeout(
            PATIENCE,
            self.store.task_in_waiting(self.options.max_waiting),
        );
        let Ok(Ok(waiting)) = self.runtime.block_on(async { count.await }) else {
            return;
        };
        metrics::gauge!("wasaga_inbox_waiting").set(waiting as f64);
        let limit = self.options.max_waiting;
        let full = waiting >= if self.full { limit / 10 * 9 } else { limit };
        if full != self.full {
            tracing::info!(
                waiting,
                limit,
                full,
                "consumer: waits while too many tasks do"
            );
        }
        if full || self.full {
            hold(client, full);
        }
        self.full = full;
    }

    fn commit(&mut self, client: &Client) {
        if self.commits.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::new();
        for ((topic, partition), next) in self.commits.drain() {
            let _ = list.add_partition_offset(&topic, partition, Offset::Offset(next));
        }
        if let Err(error) = client.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "consumer: offsets were not committed to Kafka, which lag tools see");
        }
    }
}

/// Pauses or resumes all that is assigned.
fn hold(client: &Client, pause: bool) {
    let done = client.assignment().and_then(|assigned| match pause {
        true => client.pause(&assigned),
        false => client.resume(&assigned),
    });
    if let Err(error) = done {
        tracing::debug!(%error, pause, "consumer: can't hold");
    }
}
