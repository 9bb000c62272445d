//! The consumer: records of the topics that plugins hear become in tasks.
//!
//! Postgres rules: the next offset of each (cluster id, topic, partition) is stored by compare-and-set in the statement
//! that stores the tasks, and consumption resumes there; what is committed to Kafka is for lag tools only. A
//! compare-and-set that changes nothing means that the partition is another consumer's: its part of the batch is dropped.
//! The consumer needs no host lease for that reason. While Postgres is away a batch is kept and the group is not left.
//!
//! A stored offset beyond a partition's end means that the topic was made anew: it is read from its start, with a
//! warning. One that was made anew and has grown past the stored offset meanwhile can't be told apart.

mod backlog;
mod context;
mod follow;
mod keep;
mod record;
mod worker;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    time::timeout,
};
use wasaga_domain::ports::CatalogSource;
use wasaga_store::Store;

use crate::{BrokerHealth, ClientOptions};
use worker::{Progress, Worker};

/// How the consumer works. The defaults fit.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// The consumer group, the same on all hosts of a database.
    pub group: String,
    /// Lanes of `task_in`; as many as `wasaga.lanes` has for the flow `in`.
    pub lanes: u16,
    /// Records a batch at most.
    pub batch: usize,
    /// Bytes a batch at most, but for its last record.
    pub batch_bytes: usize,
    /// How long records that are there already are gathered into a batch.
    pub batch_within: Duration,
    /// Larger records go to the dead letters at once.
    pub max_record_bytes: usize,
    /// Waiting in tasks of all hosts, from which on none are added. From half of it on none are added of topics that
    /// have their part of the other half; so one that is stuck stops no other.
    pub max_waiting: i64,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            group: "wasaga".into(),
            lanes: 16,
            batch: 2_000,
            batch_bytes: 8 << 20,
            batch_within: Duration::from_millis(50),
            max_record_bytes: 4 << 20,
            max_waiting: 50_000,
        }
    }
}

/// Stores records as tasks.
pub struct Consumer;

/// A running consumer.
#[derive(Debug)]
pub struct ConsumerHandle {
    stop: Arc<AtomicBool>,
    ended: oneshot::Receiver<()>,
    thread: thread::JoinHandle<()>,
    health: BrokerHealth,
}

impl Consumer {
    /// Starts a consumer on a thread of its own; the broker and Postgres may be away. `wake` is notified after each
    /// batch was stored. Must be called within a tokio runtime; fails only where no thread can be had.
    pub fn start(
        store: Store,
        client: &ClientOptions,
        catalog: Arc<dyn CatalogSource>,
        options: ConsumerOptions,
        wake: Arc<Notify>,
        health: BrokerHealth,
    ) -> io::Result<ConsumerHandle> {
        let stop = Arc::new(AtomicBool::new(false));
        let (end, ended) = oneshot::channel();
        let worker = Worker {
            store,
            config: client.consumer(&options.group),
            tokens: client.tokens(),
            catalog,
            options,
            wake,
            health: health.clone(),
            stop: stop.clone(),
            runtime: Handle::current(),
            progress: Progress::default(),
        };
        let thread = thread::Builder::new().name("kafka-consumer".into()).spawn(move || {
            worker.run();
            let _ = end.send(());
        })?;
        Ok(ConsumerHandle { stop, ended, thread, health })
    }
}

impl ConsumerHandle {
    /// Whether it still works; a panic has ended it otherwise.
    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// What is known of the broker.
    pub fn health(&self) -> &BrokerHealth {
        &self.health
    }

    /// Stores or drops what is in hand, which is consumed again then, and leaves the group. Ends in bounded time.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if timeout(Duration::from_secs(10), self.ended).await.is_err() {
            tracing::warn!("consumer: the group could not be left in time");
        }
    }
}
