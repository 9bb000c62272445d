//! `bench inbox`: records of a topic become tasks that a plugin handles, a fresh WASM instance each, until all are marked as done;
//! beside the same with a null executor, librdkafka's own consumer, and the inserts alone.

mod limits;
mod tasks;

use std::{collections::BTreeMap, env, fs, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, anyhow};
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
    figures::{median, print},
    null::NullExecutor,
    records,
};

const PARTITIONS: i32 = 4;

#[derive(Args)]
pub struct Arguments {
    /// Records in the topic
    #[arg(long, default_value_t = 50_000)]
    records: usize,
    /// Keys they have
    #[arg(long, default_value_t = 10_000)]
    keys: usize,
    /// Bytes of each
    #[arg(long, default_value_t = 256)]
    bytes: usize,
    /// Calls at once
    #[arg(long, default_value_t = InboxOptions::default().r#in.plugin_concurrency)]
    concurrency: usize,
    /// How often each rate is measured; the median is told
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Figures {
    records: usize,
    bytes: usize,
    concurrency: usize,
    records_per_s: f64,
    null_executor_per_s: f64,
    kafka_limit_per_s: f64,
    /// Inserts alone.
    sql_limit_per_s: f64,
    /// To the smaller limit.
    ratio: f64,
}

pub async fn run(arguments: &Arguments) -> Result<()> {
    let server = env::var("DATABASE_URL")
        .context("DATABASE_URL must name a Postgres: run `cargo xtask bench inbox`")?;
    let broker = env::var("WASAGA_BENCH_KAFKA").context("WASAGA_BENCH_KAFKA must name a broker")?;
    let client = ClientOptions::new(BTreeMap::from([("bootstrap.servers".to_owned(), broker)]))?;
    let plugins = env::var_os("WASAGA_BENCH_PLUGINS").map(PathBuf::from);
    let plugins = plugins.context("WASAGA_BENCH_PLUGINS must name the built plugins")?;
    let module = plugins.join("bench-tasks-rust.wasm");
    let bytes = fs::read(&module).with_context(|| format!("{}", module.display()))?;
    let host = PluginHost::new(Options::default(), None, None, Arc::new(SystemClock))
        .map_err(|error| anyhow!("{error}"))?;
    host.install_local(bytes).await.map_err(|error| anyhow!("{error}"))?;
    let null = Arc::new(NullExecutor { output: Payload::json("null") });
    let executors: [Arc<dyn TaskExecutor>; 2] = [host, null];

    let topic = Topic::fill(&client, arguments).await?;
    let mut rates = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..arguments.rounds {
        let [plugin, null, kafka, sql] = &mut rates;
        kafka.push(limits::kafka(&client, &topic).await?);
        sql.push(limits::sql(&server, &topic).await?);
        for (executor, rates) in executors.iter().zip([plugin, null]) {
            let executor = executor.clone();
            let mut options = InboxOptions::default();
            options.r#in.concurrency = arguments.concurrency;
            options.r#in.plugin_concurrency = arguments.concurrency;
            rates.push(tasks::handled_per_s(&server, &client, &topic, executor, options).await?);
        }
    }
    let [records_per_s, null_executor_per_s, kafka_limit_per_s, sql_limit_per_s] =
        rates.map(median);
    let figures = Figures {
        records: topic.records.len(),
        bytes: arguments.bytes,
        concurrency: arguments.concurrency,
        records_per_s,
        null_executor_per_s,
        kafka_limit_per_s,
        sql_limit_per_s,
        ratio: records_per_s / kafka_limit_per_s.min(sql_limit_per_s),
    };
    print(&figures, arguments.json)
}

/// A topic, and what is in it.
struct Topic {
    name: String,
    records: Vec<Record>,
}

impl Topic {
    async fn fill(client: &ClientOptions, arguments: &Arguments) -> Result<Self> {
        let name = format!("bench-{}", Uuid::new_v4().simple());
        testing::make_topic(client, &name, PARTITIONS).await?;
        let records = records::records(arguments.records, arguments.keys, arguments.bytes);
        let client = client.clone();
        spawn_blocking(move || {
            testing::produce(&client, &name, &records)?;
            Ok(Self { name, records })
        })
        .await?
    }
}
