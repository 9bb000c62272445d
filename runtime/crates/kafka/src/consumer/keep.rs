//! A batch on its way into Postgres.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use rdkafka::consumer::Consumer as _;
use tokio::time::timeout;
use wasaga_store::{
    StoreError,
    task_in_insert::{Move, NewTaskIn},
};

use super::{
    context::{PATIENCE, Partition},
    follow::hold,
    record,
    worker::{Client, TICK, Worker},
};

const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const SEEK: Duration = Duration::from_secs(1);

/// Records in hand.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) records: Vec<NewTaskIn>,
    pub(super) bytes: usize,
}

impl Batch {
    pub(super) fn push(&mut self, record: NewTaskIn, size: usize) {
        self.bytes += 200 + size;
        self.records.push(record);
    }

    pub(super) fn has(&self, partition: &Partition) -> bool {
        self.records
            .iter()
            .any(|record| (&record.topic, record.partition) == (&partition.0, partition.1))
    }

    /// Drops what is of these partitions.
    pub(super) fn drop_partitions(&mut self, gone: &[Partition]) {
        if !gone.is_empty() {
            self.records.retain(|record| !gone.contains(&partition(record)));
        }
    }
}

fn partition(record: &NewTaskIn) -> Partition {
    (record.topic.clone(), record.partition)
}

impl Worker {
    /// Stores a batch, however long Postgres takes, unless it is stopped meanwhile: then it is consumed again later.
    /// A batch whose data Postgres refuses is halved until the culprit is alone.
    pub(super) fn keep(&mut self, client: &Client, mut batch: Batch) {
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
                Err(StoreError::Data(_)) if size > 1 => {
                    size /= 2;
                    continue;
                }
                Err(StoreError::Data(error)) if !record::is_stripped(&batch.records[0]) => {
                    tracing::error!(%error, "consumer: Postgres refuses a record: it goes to the dead letters");
                    record::refused_by_postgres(&mut batch.records[0], &error.to_string());
                    continue;
                }
                Err(error) => tracing::warn!(%error, records = size,
                    "consumer: a batch can't be stored; it is kept and tried again"),
            }
            self.commit(client);
            // Polling keeps the consumer in its group.
            let until = Instant::now() + pause;
            while Instant::now() < until && !self.stopping() {
                hold(client, true, |_| true);
                paused = true;
                self.poll(client, TICK, &mut batch);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        if paused {
            let full = client.context().held().full.clone();
            hold(client, false, |topic| !full.contains(topic));
        }
    }

    /// Stores records and moves their partitions' offsets. Answers with the partitions that are another's by now.
    fn insert(
        &mut self,
        client: &Client,
        records: &[NewTaskIn],
    ) -> Result<Vec<Partition>, StoreError> {
        let next: BTreeMap<Partition, i64> =
            records.iter().map(|record| (partition(record), record.offset + 1)).collect();
        let (cluster, moves) = {
            let held = client.context().held();
            let moves = next.into_iter().filter_map(|(partition, next)| {
                let expected = *held.next.get(&partition)?;
                let (topic, partition) = partition;
                Some(Move { topic, partition, expected, next })
            });
            (held.cluster.clone(), moves.collect::<Vec<_>>())
        };
        let stored = timeout(PATIENCE, self.store.task_in_insert(&cluster, &moves, records));
        let inserted = self.runtime.block_on(stored).unwrap_or_else(|_| {
            Err(StoreError::Connection(io::Error::from(io::ErrorKind::TimedOut).into()))
        })?;
        let mut lost = Vec::new();
        for (moved, made) in moves.into_iter().zip(inserted.made) {
            let partition = (moved.topic, moved.partition);
            if made {
                client.context().held().next.insert(partition, Some(moved.next));
            } else {
                tracing::warn!(topic = %partition.0, partition = partition.1,
                    "consumer: the offset is not what it was: the partition is another's, and its records are dropped");
                lost.push(partition);
            }
        }
        let stored = records.iter().filter(|record| !lost.contains(&partition(record))).count();
        metrics::counter!("wasaga_inbox_records_total").increment(stored as u64);
        metrics::counter!("wasaga_inbox_duplicates_total").increment(inserted.duplicates);
        if inserted.duplicates > 0 {
            tracing::debug!(
                records = inserted.duplicates,
                "consumer: messages that are tasks already came again"
            );
        }
        self.progress.stored += stored as i64;
        self.progress.astray.extend(lost.iter().cloned());
        self.find_astray(client);
        if stored > 0 {
            self.wake.notify_one();
        }
        Ok(lost)
    }

    /// Has partitions that went astray read from their stored offset; until then their records are dropped.
    pub(super) fn find_astray(&mut self, client: &Client) {
        if self.progress.astray.is_empty() {
            return;
        }
        let context = client.context();
        self.progress.astray.retain(|partition| context.held().next.contains_key(partition));
        let cluster = context.held().cluster.clone();
        let partitions: Vec<Partition> = self.progress.astray.iter().cloned().collect();
        let Some(stored) = context.stored(&cluster, &partitions) else {
            return;
        };
        for (partition, next) in partitions.into_iter().zip(stored) {
            match client.seek(&partition.0, partition.1, context.position(next), SEEK) {
                Ok(()) => {
                    self.progress.astray.remove(&partition);
                    context.held().next.insert(partition, next);
                }
                Err(error) => tracing::warn!(%error, topic = %partition.0, partition = partition.1,
                    "consumer: a partition can't be read again yet"),
            }
        }
    }
}
