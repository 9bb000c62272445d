//! What the consumer looks after each second: the topics to hear, how many tasks wait, and lag tools.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
};
use tokio::time::timeout;

use super::{
    backlog,
    context::{PATIENCE, Partition, of_topics},
    worker::{Client, Worker},
};

/// How long a broker may take to tell of a topic.
const ASKING: Duration = Duration::from_secs(1);
/// For so long a commit to Kafka that came to nothing may go unnoticed.
const TELL_AGAIN: Duration = Duration::from_mins(1);

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

    /// Has topics wait while too many tasks do.
    pub(super) fn follow_backlog(&mut self, client: &Client) {
        let limit = self.options.max_waiting;
        let count = timeout(PATIENCE, self.store.task_in_waiting(limit));
        let Ok(Ok(waiting)) = self.runtime.block_on(count) else {
            return;
        };
        let all: i64 = waiting.values().sum();
        metrics::gauge!("wasaga_inbox_waiting").set(all as f64);
        let was = client.context().held().full.clone();
        let full = backlog::full(&self.progress.topics, &waiting, limit, &was);
        if full != was {
            tracing::info!(waiting = all, limit, topics = ?full, "consumer: these topics wait while too many tasks do");
            hold(client, true, |topic| full.contains(topic) && !was.contains(topic));
            hold(client, false, |topic| was.contains(topic) && !full.contains(topic));
            client.context().held().full = full;
        }
    }

    /// Tells Kafka of stored offsets: nothing but lag tools reads them there. It does not answer, and so is told all of
    /// them again from time to time.
    pub(super) fn commit(&mut self, client: &Client) {
        let mut held = client.context().held();
        if self.progress.told.is_none_or(|at| at.elapsed() >= TELL_AGAIN) {
            self.progress.told = Some(Instant::now());
            held.told.clear();
        }
        let news: HashMap<Partition, i64> = (held.next.iter())
            .filter_map(|(partition, next)| Some((partition, (*next)?)))
            .filter(|(partition, next)| {
                ![held.told.get(*partition), held.beyond.get(*partition)].contains(&Some(next))
            })
            .map(|(partition, next)| (partition.clone(), next))
            .collect();
        if news.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::new();
        for ((topic, partition), next) in &news {
            let _ = list.add_partition_offset(topic, *partition, Offset::Offset(*next));
        }
        match client.commit(&list, CommitMode::Async) {
            Ok(()) => held.told.extend(news),
            Err(error) => {
                tracing::debug!(%error, "consumer: offsets were not committed to Kafka, which lag tools see");
            }
        }
    }
}

/// Pauses or resumes what is assigned of the topics that are chosen.
pub(super) fn hold(client: &Client, pause: bool, chosen: impl Fn(&str) -> bool) {
    let done = client.assignment().and_then(|assigned| {
        let chosen = of_topics(&assigned, chosen);
        if pause { client.pause(&chosen) } else { client.resume(&chosen) }
    });
    if let Err(error) = done {
        tracing::debug!(%error, pause, "consumer: can't hold");
    }
}
