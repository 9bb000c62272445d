//! `bench relay`: what waits in the outbox is published, beside librdkafka's own producer with the same records and beside the
//! relay's own reads and marks without Kafka; and the time from a commit to its consumer, at a tenth of that rate.

mod latency;
mod limits;
mod outbox;

use std::{collections::BTreeMap, env, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use wasaga_kafka::{ClientOptions, RelayOptions};

use crate::figures::{Latencies, median, print};
use outbox::Outbox;

#[derive(Args)]
pub struct Arguments {
    /// Messages of 256 bytes that wait when the relay starts; of 4 KiB a quarter of it
    #[arg(long, default_value_t = 100_000)]
    messages: usize,
    /// Keys they have
    #[arg(long, default_value_t = 10_000)]
    keys: usize,
    /// Published messages that lie behind those that wait, in the last part
    #[arg(long, default_value_t = 1_000_000)]
    behind: usize,
    /// How often each rate and latency is measured; the median is told
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long latencies are measured in each round
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is measured of messages of one size.
#[derive(Serialize)]
struct Figures {
    bytes: usize,
    records_per_s: f64,
    kafka_limit_per_s: f64,
    sql_limit_per_s: f64,
    /// To the smaller limit.
    ratio: f64,
    /// From commits to the consumer.
    #[serde(flatten)]
    latencies: Latencies,
}

/// The same with published messages behind it.
#[derive(Serialize)]
struct Behind {
    published: usize,
    records_per_s: f64,
    /// To the rate with nothing behind it.
    ratio_to_without: f64,
    #[serde(flatten)]
    latencies: Latencies,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    of_256_bytes: Figures,
    of_4_kib: Figures,
    behind: Behind,
}

/// Where it is measured.
struct Bench {
    server: String,
    client: ClientOptions,
    keys: usize,
    load: Duration,
}

pub async fn run(arguments: &Arguments) -> Result<()> {
    let server = env::var("DATABASE_URL")
        .context("DATABASE_URL must name a Postgres: run `cargo xtask bench relay`")?;
    let broker = env::var("WASAGA_BENCH_KAFKA").context("WASAGA_BENCH_KAFKA must name a broker")?;
    let client = ClientOptions::new(BTreeMap::from([("bootstrap.servers".to_owned(), broker)]))?;
    let load = Duration::from_secs(arguments.seconds);
    let bench = Bench { server, client, keys: arguments.keys, load };
    bench.compile_broker(arguments.messages).await?;
    let of_256_bytes = bench.measure(256, arguments.messages, arguments.rounds).await?;
    let report = Report {
        of_4_kib: bench.measure(4096, arguments.messages / 4, arguments.rounds).await?,
        behind: bench.behind(arguments, of_256_bytes.records_per_s).await?,
        of_256_bytes,
    };
    print(&report, arguments.json)
}

/// How long the broker takes to have the code compiled that handles requests of a few records, beside all else.
const COMPILES: Duration = Duration::from_mins(1);

impl Bench {
    /// Loads the broker until its own machine code runs: its compilers would take the cores from what is measured.
    async fn compile_broker(&self, messages: usize) -> Result<()> {
        let mut outbox = Outbox::new(&self.server, &self.client).await?;
        let rate = self.drain(&mut outbox, messages, 256).await? / 10.0;
        latency::under(&outbox, &self.client, rate, COMPILES, 256).await.map(drop)
    }

    async fn measure(&self, bytes: usize, messages: usize, rounds: usize) -> Result<Figures> {
        let (mut relay, mut kafka, mut sql) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            kafka.push(limits::kafka(&self.client, messages, self.keys, bytes).await?);
            sql.push(limits::sql(&self.server, &self.client, messages, self.keys, bytes).await?);
            let mut outbox = Outbox::new(&self.server, &self.client).await?;
            relay.push(self.drain(&mut outbox, messages, bytes).await?);
        }
        let (records_per_s, kafka_limit_per_s, sql_limit_per_s) =
            (median(relay), median(kafka), median(sql));
        let outbox = Outbox::new(&self.server, &self.client).await?;
        let latencies = self.latencies(&outbox, records_per_s / 10.0, bytes, rounds).await?;
        Ok(Figures {
            bytes,
            records_per_s,
            kafka_limit_per_s,
            sql_limit_per_s,
            ratio: records_per_s / kafka_limit_per_s.min(sql_limit_per_s),
            latencies,
        })
    }

    async fn latencies(
        &self,
        outbox: &Outbox,
        rate: f64,
        bytes: usize,
        rounds: usize,
    ) -> Result<Latencies> {
        let mut measured = Vec::new();
        for _ in 0..rounds {
            measured.push(latency::under(outbox, &self.client, rate, self.load, bytes).await?);
        }
        Ok(Latencies::of(&measured, self.load))
    }

    /// Messages a second that a relay publishes and marks.
    async fn drain(&self, outbox: &mut Outbox, messages: usize, bytes: usize) -> Result<f64> {
        outbox.fill(messages, self.keys, bytes).await;
        let (relay, lease, begun) = outbox.relay(RelayOptions::default()).await?;
        outbox.published().await?;
        let took = begun.elapsed();
        relay.stop().await;
        lease.stop().await;
        Ok(messages as f64 / took.as_secs_f64())
    }

    /// `without` is the rate with nothing behind it.
    async fn behind(&self, arguments: &Arguments, without: f64) -> Result<Behind> {
        let Arguments { behind: published, messages, rounds, .. } = *arguments;
        let mut outbox = Outbox::new(&self.server, &self.client).await?;
        outbox.fill_published(published, self.keys).await;
        // The reads of the relay that published them have seen that they are no more.
        self.drain(&mut outbox, 1, 256).await?;
        let mut rates = Vec::new();
        // What one round published lies behind the next as well.
        for _ in 0..rounds {
            rates.push(self.drain(&mut outbox, messages, 256).await?);
        }
        let records_per_s = median(rates);
        let latencies = self.latencies(&outbox, records_per_s / 10.0, 256, rounds).await?;
        let ratio_to_without = records_per_s / without;
        Ok(Behind { published, records_per_s, ratio_to_without, latencies })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies() -> Latencies {
        Latencies::of(&[vec![Duration::from_millis(8)]], Duration::from_secs(1))
    }

    fn figures(bytes: usize) -> Figures {
        Figures {
            bytes,
            records_per_s: 60.0,
            kafka_limit_per_s: 140.0,
            sql_limit_per_s: 100.0,
            ratio: 0.6,
            latencies: latencies(),
        }
    }

    /// Whoever compares runs reads these.
    #[test]
    fn a_report_has_its_figures_by_name() {
        let (of_256_bytes, of_4_kib) = (figures(256), figures(4096));
        let behind = Behind {
            published: 1,
            records_per_s: 60.0,
            ratio_to_without: 1.0,
            latencies: latencies(),
        };
        let report = serde_json::to_value(Report { of_256_bytes, of_4_kib, behind }).unwrap();
        for name in ["records_per_s", "kafka_limit_per_s", "sql_limit_per_s", "p50_ms", "p99_ms"] {
            for of_size in [&report, &report["of_4_kib"]] {
                assert!(of_size[name].is_number(), "{name} of {of_size}");
            }
        }
    }
}
