//! What the consumer looks after each second: the topics to hear, how many tasks wait, and lag tools.

use std::{sync::atomic::Ordering, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
};
use tokio::time::timeout;

use super::{
    context::PATIENCE,
    worker::{Client, Worker},
};

/// How long a broker may take to tell of a topic.
const ASKING: Duration = Duration::from_secs(1);

impl Worker {
    pub(super) fn follow_catalog(&mut self, client: &Client) {
        let topics = self.catalog.catalog().topics();
        if topics == self.progress.topics {
            return;
        }
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        // Being asked for them, a broker makes topics that it lacks. Made one after the other by the subscription, each
        // would have the group form anew.
        let mut asked = names.iter().map(|name| client.fetch_metadata(Some(name), ASKING));
        if let Some(error) = asked.find_map(Result::err) {
            tracing::debug!(%error, "consumer: the broker does not know its topics yet");
            return;
        }
        let done = if names.is_empty() {
            client.unsubscribe();
            Ok(())
        } else {
            client.subscribe(&names)
        };
        match done {
            Ok(()) => {
                tracing::info!(?topics, "consumer: subscribed");
                self.progress.topics = topics;
            }
            Err(error) => tracing::error!(%error, ?topics, "consumer: can't subscribe"),
        }
    }

    /// Waits while too many tasks do.
    pub(super) fn follow_backlog(&mut self, client: &Client) {
        let count = timeout(PATIENCE, self.store.task_in_waiting(self.options.max_waiting));
        let Ok(Ok(waiting)) = self.runtime.block_on(count) else {
            return;
        };
        metrics::gauge!("wasaga_inbox_waiting").set(waiting as f64);
        let limit = self.options.max_waiting;
        let was = client.context().full.load(Ordering::Relaxed);
        let full = waiting >= if was { limit / 10 * 9 } else { limit };
        if full != was {
            tracing::info!(waiting, limit, full, "consumer: waits while too many tasks do");
            client.context().full.store(full, Ordering::Relaxed);
            hold(client, full);
        }
    }

    pub(super) fn commit(&mut self, client: &Client) {
        if self.progress.commits.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::new();
        for ((topic, partition), next) in self.progress.commits.drain() {
            let _ = list.add_partition_offset(&topic, partition, Offset::Offset(next));
        }
        if let Err(error) = client.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "consumer: offsets were not committed to Kafka, which lag tools see");
        }
    }
}

/// Pauses or resumes all that is assigned.
pub(super) fn hold(client: &Client, pause: bool) {
    let done = client.assignment().and_then(|assigned| {
        if pause { client.pause(&assigned) } else { client.resume(&assigned) }
    });
    if let Err(error) = done {
        tracing::debug!(%error, pause, "consumer: can't hold");
    }
}
