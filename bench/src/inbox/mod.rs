//! `bench inbox`: records of a topic become tasks that a plugin handles, a fresh WASM instance each, until all are marked as done;
//! beside the same with a null executor, librdkafka's own consumer, and the inserts alone; and the time from a record to the
//! end of its task, at a tenth of that rate.

mod latency;
mod limits;
mod tasks;

use std::{collections::BTreeMap, env, fs, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use serde::Serialize;
use tokio::task::spawn_blocking;
use uuid::Uuid;
use wasaga_domain::{clock::SystemClock, payload::Payload, ports::TaskExecutor};
use wasaga_engine::inbox::InboxOptions;
use wasaga_kafka::{
    ClientOptions,
    testing::{self, Record},
};
use wasaga_plugin_host::{Options, PluginHost};

use crate::{
    figures::{Latencies, median, print},
    null::NullExecutor,
    records,
};
use tasks::Running;

const PARTITIONS: i32 = 4;

#[derive(Args)]
pub struct Arguments {
    /// Records of 256 bytes in a topic; of 4 KiB a quarter of it
    #[arg(long, default_value_t = 50_000)]
    records: usize,
    /// Keys they have
    #[arg(long, default_value_t = 10_000)]
    keys: usize,
    /// Calls at once
    #[arg(long, default_value_t = InboxOptions::default().r#in.plugin_concurrency)]
    concurrency: usize,
    /// How often each rate and latency is measured; the median is told
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long latencies are measured in each round
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is measured of records of one size.
#[derive(Serialize)]
struct Figures {
    records: usize,
    bytes: usize,
    records_per_s: f64,
    null_executor_per_s: f64,
    kafka_limit_per_s: f64,
    /// Inserts alone.
    sql_limit_per_s: f64,
    /// To the smaller limit.
    ratio: f64,
    /// From records to the ends of their tasks.
    #[serde(flatten)]
    latencies: Latencies,
}

#[derive(Serialize)]
struct Report {
    concurrency: usize,
    #[serde(flatten)]
    of_256_bytes: Figures,
    of_4_kib: Figures,
}

/// Where it is measured.
struct Bench {
    server: String,
    client: ClientOptions,
    plugin: Arc<dyn TaskExecutor>,
    null: Arc<dyn TaskExecutor>,
    options: InboxOptions,
    keys: usize,
    rounds: usize,
    load: Duration,
}

pub async fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { records, keys, concurrency, rounds, seconds, json } = *arguments;
    ensure!(rounds > 0, "--rounds must be at least 1");
    let server = env::var("DATABASE_URL")
        .context("DATABASE_URL must name a Postgres: run `cargo xtask bench inbox`")?;
    let broker = env::var("WASAGA_BENCH_KAFKA").context("WASAGA_BENCH_KAFKA must name a broker")?;
    let client = ClientOptions::new(BTreeMap::from([("bootstrap.servers".to_owned(), broker)]))?;
    let plugins = env::var_os("WASAGA_BENCH_PLUGINS").map(PathBuf::from);
    let plugins = plugins.context("WASAGA_BENCH_PLUGINS must name the built plugins")?;
    let module = plugins.join("bench-tasks-rust.wasm");
    let bytes = fs::read(&module).with_context(|| format!("{}", module.display()))?;
    let plugin = PluginHost::new(Options::default(), None, None, Arc::new(SystemClock))
        .map_err(|error| anyhow!("{error}"))?;
    plugin.install_local(bytes).await.map_err(|error| anyhow!("{error}"))?;
    let null = Arc::new(NullExecutor { output: Payload::json("null") });
    let mut options = InboxOptions::default();
    options.r#in.concurrency = concurrency;
    options.r#in.plugin_concurrency = concurrency;
    let load = Duration::from_secs(seconds);
    let bench = Bench { server, client, plugin, null, options, keys, rounds, load };
    let report = Report {
        concurrency,
        of_256_bytes: bench.measure(256, records).await?,
        of_4_kib: bench.measure(4096, records / 4).await?,
    };
    print(&report, json)
}

impl Bench {
    async fn measure(&self, bytes: usize, records: usize) -> Result<Figures> {
        let topic = Arc::new(Topic::fill(&self.client, records, self.keys, bytes).await?);
        let (mut plugin, mut null) = (Vec::new(), Vec::new());
        let (mut kafka, mut sql) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            kafka.push(limits::kafka(&self.client, &topic).await?);
            sql.push(limits::sql(&self.server, &topic).await?);
            for (executor, rates) in [(&self.plugin, &mut plugin), (&self.null, &mut null)] {
                let running = self.start(&topic.name, executor).await?;
                rates.push(running.handled_per_s(records).await?);
            }
        }
        let (records_per_s, null_executor_per_s) = (median(plugin), median(null));
        let (kafka_limit_per_s, sql_limit_per_s) = (median(kafka), median(sql));
        let latencies = latency::under(self, &topic, records_per_s / 10.0).await?;
        Ok(Figures {
            records,
            bytes,
            records_per_s,
            null_executor_per_s,
            kafka_limit_per_s,
            sql_limit_per_s,
            ratio: records_per_s / kafka_limit_per_s.min(sql_limit_per_s),
            latencies: Latencies::of(&latencies, self.load),
        })
    }

    /// Consumer and inbox on a topic, with this executor.
    async fn start(&self, topic: &str, executor: &Arc<dyn TaskExecutor>) -> Result<Running> {
        let (executor, options) = (executor.clone(), self.options.clone());
        Running::start(&self.server, &self.client, topic, executor, options).await
    }
}

/// A topic, and what is in it.
struct Topic {
    name: String,
    records: Vec<Record>,
}

impl Topic {
    async fn fill(
        client: &ClientOptions,
        records: usize,
        keys: usize,
        bytes: usize,
    ) -> Result<Self> {
        let name = make_topic(client).await?;
        let records = records::records(records, keys, bytes);
        let client = client.clone();
        spawn_blocking(move || {
            testing::produce(&client, &name, &records)?;
            Ok(Self { name, records })
        })
        .await?
    }
}

/// Makes an empty topic; its name.
async fn make_topic(client: &ClientOptions) -> Result<String> {
    let name = format!("bench-{}", Uuid::new_v4().simple());
    testing::make_topic(client, &name, PARTITIONS).await?;
    Ok(name)
}
