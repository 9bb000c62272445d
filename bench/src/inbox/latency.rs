//! From a record to the end of its task, while records come at a steady rate.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use wasaga_kafka::{BrokerHealth, ClientOptions, Publisher, PublisherOptions};
use wasaga_store::{emit::NewMessage, outbox_memory::MemoryOutbox, publish_first::Published};

use super::{Bench, Topic, make_topic};
use crate::steady::{self, EMITTERS};

/// What comes first finds no caches; all else is warm from the peak.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long the broker may take for a record.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends records like these at this rate; answers with the times from each one's timestamp to when its task was marked as
/// done, round by round, sorted.
///
/// The timestamp is in whole milliseconds, and the mark's time is when its transaction began.
pub async fn under(bench: &Bench, like: &Arc<Topic>, rate: f64) -> Result<Vec<Vec<Duration>>> {
    let topic = make_topic(&bench.client).await?;
    let mut running = bench.start(&topic, &bench.plugin).await?;
    let mut emitters = Vec::new();
    for place in 0..EMITTERS {
        let mut emitter = Emitter::new(&bench.client, topic.clone(), like.clone(), place)?;
        emitter.send().await?;
        emitters.push(emitter);
    }
    // The consumer has its partitions then.
    running.done(EMITTERS).await?;
    steady::settle(&running.database).await?;
    let now = "select (extract(epoch from clock_timestamp()) * 1000)::bigint";
    let counted = running.sql.number(now).await + WARM_UP.as_millis() as i64;
    let until = Instant::now() + WARM_UP + bench.load * u32::try_from(bench.rounds)?;
    let mut sending = JoinSet::new();
    for emitter in emitters {
        sending.spawn(emitter.run(rate, until));
    }
    let mut sent = 0;
    while let Some(part) = sending.join_next().await {
        sent += part??;
    }
    running.done(sent).await?;
    let took = format!(
        "select (extract(epoch from finished_at - produced_at) * 1e6)::bigint::text
         from wasaga.task_in where produced_at >= wasaga.at({counted}) order by produced_at"
    );
    let took = running.sql.texts(&took).await;
    running.stop().await;
    let latency = |micros: Option<String>| {
        let micros = micros.context("each task has both times")?;
        anyhow::Ok(Duration::from_micros(micros.parse()?))
    };
    let latencies = took.into_iter().map(latency).collect::<Result<Vec<_>>>()?;
    ensure!(!latencies.is_empty(), "no record came after the warm-up");
    let rounds = latencies.chunks(latencies.len().div_ceil(bench.rounds)).map(|round| {
        let mut sorted = round.to_vec();
        sorted.sort_unstable();
        sorted
    });
    Ok(rounds.collect())
}

/// Sends one record at a time, by a producer of its own.
struct Emitter {
    publisher: Publisher,
    topic: String,
    /// What it sends, over and over.
    like: Arc<Topic>,
    place: usize,
    sent: usize,
}

impl Emitter {
    fn new(client: &ClientOptions, topic: String, like: Arc<Topic>, place: usize) -> Result<Self> {
        let options = PublisherOptions { within: PATIENCE, ..PublisherOptions::default() };
        let (outbox, health) = (MemoryOutbox::default(), BrokerHealth::default());
        let publisher = Publisher::new(outbox, client, options, Arc::default(), health)?;
        Ok(Self { publisher, topic, like, place, sent: 0 })
    }

    async fn send(&mut self) -> Result<()> {
        let records = &self.like.records;
        let record = &records[(self.place + self.sent * EMITTERS) % records.len()];
        let key = String::from_utf8_lossy(&record.key);
        let message = NewMessage::to(&self.topic).key(key).bytes(record.value.clone());
        let published = self.publisher.publish(&message).await?;
        let is_published = matches!(published, Published::Published { .. });
        ensure!(is_published, "the broker took no record within {PATIENCE:?}");
        self.sent += 1;
        Ok(())
    }

    /// Sends at its part of the rate; how many it has sent in all.
    async fn run(mut self, rate: f64, until: Instant) -> Result<usize> {
        let mut ticks = steady::ticks(self.place, 1, rate);
        while Instant::now() < until {
            ticks.tick().await;
            self.send().await?;
        }
        Ok(self.sent)
    }
}
