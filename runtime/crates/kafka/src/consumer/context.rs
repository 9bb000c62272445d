//! What librdkafka calls back: partitions come and go. All of it runs within `poll`, on the consumer's thread.

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol},
    error::KafkaError,
    statistics::Statistics,
    types::RDKafkaRespErr,
    util::Timeout,
};
use tokio::{runtime::Handle, time::timeout};
use wasaga_store::Store;

use crate::{
    health::{self, BrokerHealth},
    oauth::{self, Tokens},
};

/// How long Postgres may take for a statement before it counts as away.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
const BROKER: Duration = Duration::from_secs(1);

/// A topic and its partition.
pub(super) type Partition = (String, i32);

/// What the consumer holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The Kafka cluster's id; known once there are partitions.
    pub(super) cluster: String,
    /// The stored next offset of each partition that is assigned.
    pub(super) next: HashMap<Partition, Option<i64>>,
    /// Of these, what Kafka was told.
    pub(super) told: HashMap<Partition, i64>,
    /// Stored offsets beyond a partition's end, as its topic was made anew: Kafka is not told, or lag would be less than
    /// nothing.
    pub(super) beyond: HashMap<Partition, i64>,
    /// Partitions that were taken away since this was looked at last.
    pub(super) revoked: Vec<Partition>,
    /// Topics of which too many tasks wait: what is assigned of them begins paused.
    pub(super) full: HashSet<String>,
}

pub(super) struct Context {
    pub(super) store: Store,
    pub(super) runtime: Handle,
    pub(super) health: BrokerHealth,
    pub(super) tokens: Option<Tokens>,
    pub(super) stop: Arc<AtomicBool>,
    /// Where a partition starts of which no offset is stored.
    pub(super) start: Offset,
    pub(super) held: Mutex<Held>,
}

impl Context {
    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_revoked(&self) -> Vec<Partition> {
        mem::take(&mut self.held().revoked)
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The cluster's id; waits for it. Absent when the consumer is being stopped.
    fn cluster(&self, consumer: &BaseConsumer<Self>) -> Option<String> {
        while !self.stopping() {
            if let Some(id) = consumer.client().fetch_cluster_id(BROKER) {
                return Some(id);
            }
            tracing::warn!("consumer: the broker does not tell its cluster id");
            thread::sleep(PAUSE);
        }
        None
    }

    /// The stored next offsets; waits for Postgres, which keeps the group waiting for no longer than
    /// `max.poll.interval.ms`. Absent when the consumer is being stopped.
    pub(super) fn stored(
        &self,
        cluster: &str,
        partitions: &[Partition],
    ) -> Option<Vec<Option<i64>>> {
        while !self.stopping() {
            let read = timeout(PATIENCE, self.store.next_offsets(cluster, partitions));
            match self.runtime.block_on(read) {
                Ok(Ok(next)) => return Some(next),
                Ok(Err(error)) => tracing::warn!(%error, "consumer: offsets can't be read"),
                Err(_) => tracing::warn!("consumer: Postgres does not answer"),
            }
            thread::sleep(PAUSE);
        }
        None
    }

    /// Where to start a partition.
    pub(super) fn position(&self, next: Option<i64>) -> Offset {
        next.map_or(self.start, Offset::Offset)
    }

    /// Sets each partition's offset to where it has to start.
    fn locate(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) {
        let partitions: Vec<Partition> = list
            .elements()
            .iter()
            .map(|element| (element.topic().to_owned(), element.partition()))
            .collect();
        let Some(cluster) = self.cluster(consumer) else {
            return;
        };
        let Some(stored) = self.stored(&cluster, &partitions) else {
            return;
        };
        let (mut answers, mut beyond) = (true, Vec::new());
        for (mut element, (partition, next)) in
            list.elements().into_iter().zip(partitions.iter().zip(&stored))
        {
            let mut start = self.position(*next);
            if let Some(next) = *next
                && answers
            {
                match consumer.fetch_watermarks(&partition.0, partition.1, BROKER) {
                    Ok((_, high)) if next > high => {
                        tracing::warn!(topic = %partition.0, partition = partition.1, next, high,
                            "consumer: the stored offset is beyond the end: the topic was made anew and is read from its start");
                        start = Offset::Beginning;
                        beyond.push((partition.clone(), next));
                    }
                    Ok((low, _)) if next < low => {
                        tracing::warn!(topic = %partition.0, partition = partition.1, next, low,
                            "consumer: records were deleted before they were consumed: the topic's retention is too short");
                    }
                    Ok(_) => {}
                    Err(_) => answers = false,
                }
            }
            if let Err(error) = element.set_offset(start) {
                tracing::error!(%error, topic = %partition.0, "consumer: a start can't be set");
            }
        }
        let mut held = self.held();
        held.cluster = cluster;
        held.next.extend(partitions.into_iter().zip(stored));
        held.beyond.extend(beyond);
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        health::log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.health.observed(&statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.health.failed(&error, reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        oauth::token(self.tokens.as_ref())
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let done = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.locate(consumer, list);
            tracing::info!(partitions = list.count(), "consumer: partitions came");
            let assigned =
                if cooperative { consumer.incremental_assign(list) } else { consumer.assign(list) };
            let held = self.held();
            let full = of_topics(list, |topic| held.full.contains(topic));
            drop(held);
            assigned.and_then(|()| consumer.pause(&full))
        } else {
            let mut held = self.held();
            for element in list.elements() {
                let partition = (element.topic().to_owned(), element.partition());
                held.next.remove(&partition);
                held.told.remove(&partition);
                held.beyond.remove(&partition);
                held.revoked.push(partition);
            }
            drop(held);
            tracing::info!(partitions = list.count(), "consumer: partitions went");
            if cooperative { consumer.incremental_unassign(list) } else { consumer.unassign() }
        };
        if let Err(error) = done {
            tracing::error!(%error, "consumer: an assignment failed");
        }
    }

    fn main_queue_min_poll_interval(&self) -> Timeout {
        Timeout::After(Duration::from_millis(200))
    }
}

/// What a list has of the topics that are chosen.
pub(super) fn of_topics(
    list: &TopicPartitionList,
    chosen: impl Fn(&str) -> bool,
) -> TopicPartitionList {
    let mut part = TopicPartitionList::new();
    for element in list.elements().iter().filter(|element| chosen(element.topic())) {
        part.add_partition(element.topic(), element.partition());
    }
    part
}
