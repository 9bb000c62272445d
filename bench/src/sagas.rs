//! `bench sagas`: a four-step saga, each step a fresh WASM instance that is done at once, from its start to its
//! committed end.

use std::{
    collections::HashMap,
    env, fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use async_trait::async_trait;
use clap::Args;
use serde::Serialize;
use tokio::{
    sync::{Notify, Semaphore, mpsc, oneshot},
    task::JoinSet,
    time,
};
use wasaga_domain::{
    clock::SystemClock,
    definition::Definition,
    ids::SagaId,
    payload::Payload,
    ports::{CatalogSource, StepExecutor},
};
use wasaga_engine::{
    definitions::DefinitionSource,
    driver::{Engine, EngineHandle, EngineOptions, Parts, StartRequest},
};
use wasaga_plugin_host::{Options, PluginHost};
use wasaga_services::process;
use wasaga_store::{lease::HostLease, testing::database_on};

use crate::{
    call,
    figures::{percentile, print},
    limits,
    null::NullExecutor,
};

/// Sessions report what they counted up to a second after their last transaction.
const COUNTERS_SETTLE: Duration = Duration::from_millis(2500);
const WARM_UP: usize = 200;

#[derive(Args)]
pub struct Arguments {
    /// Sagas in flight at once
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Sagas in all
    #[arg(long, default_value_t = 10_000)]
    sagas: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Commits under way at once
    #[arg(long, default_value_t = EngineOptions::default().committers)]
    committers: usize,
}

/// What is printed.
#[derive(Serialize)]
struct Figures {
    concurrency: usize,
    sagas: usize,
    sagas_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    commits_per_saga: f64,
    wal_bytes_per_saga: f64,
    host_cpu_ms_per_saga: f64,
    postgres_cpu_ms_per_saga: f64,
    null_engine_sagas_per_s: f64,
    pgbench_commits_per_s: Option<f64>,
    wasm_call_us: f64,
}

/// One closed loop's measurement.
struct Measured {
    rate: f64,
    /// Sorted.
    latencies: Vec<Duration>,
    commits: f64,
    wal_bytes: f64,
    host_cpu: f64,
    postgres_cpu: f64,
}

/// The one definition there is.
struct Only(Arc<Definition>);

#[async_trait]
impl DefinitionSource for Only {
    async fn definition(&self, _: &str, _: u32) -> Result<Arc<Definition>, String> {
        Ok(Arc::clone(&self.0))
    }
}

pub async fn run(arguments: &Arguments) -> Result<()> {
    let server = env::var("DATABASE_URL")
        .context("DATABASE_URL must name a Postgres: run `cargo xtask bench sagas`")?;
    let plugins = env::var_os("WASAGA_BENCH_PLUGINS").map(PathBuf::from);
    let plugins = plugins.context("WASAGA_BENCH_PLUGINS must name the built plugins")?;
    let module = plugins.join("bench-rust.wasm");
    let bytes = fs::read(&module).with_context(|| format!("{}", module.display()))?;
    let host = PluginHost::new(Options::default(), None, None, Arc::new(SystemClock))
        .map_err(|error| anyhow!("{error}"))?;
    host.install_local(bytes).await.map_err(|error| anyhow!("{error}"))?;
    let catalog = host.catalog();
    let active = catalog.definitions.get("bench").context("the plugin defines the saga `bench`")?;
    let definition = Arc::clone(&active.definition);

    let executor: Arc<dyn StepExecutor> = host;
    let output = call::first_output(&*executor, &definition, input()).await?;
    let measured = measure(arguments, &server, &definition, executor.clone()).await?;
    let null = Arc::new(NullExecutor { output });
    let null = measure(arguments, &server, &definition, null).await?;
    let figures = Figures {
        concurrency: arguments.concurrency,
        sagas: arguments.sagas,
        sagas_per_s: measured.rate,
        p50_ms: percentile(&measured.latencies, 0.5),
        p99_ms: percentile(&measured.latencies, 0.99),
        commits_per_saga: measured.commits,
        wal_bytes_per_saga: measured.wal_bytes,
        host_cpu_ms_per_saga: measured.host_cpu * 1e3,
        postgres_cpu_ms_per_saga: measured.postgres_cpu * 1e3,
        null_engine_sagas_per_s: null.rate,
        pgbench_commits_per_s: limits::pgbench_commits_per_s(&server)?,
        wasm_call_us: wasm_call_us(&*executor, &definition).await?,
    };
    print(&figures, arguments.json)
}

type Ends = Arc<Mutex<HashMap<SagaId, oneshot::Sender<()>>>>;

/// Runs the loop on a database of its own.
async fn measure(
    arguments: &Arguments,
    server: &str,
    definition: &Arc<Definition>,
    executor: Arc<dyn StepExecutor>,
) -> Result<Measured> {
    let database = database_on(server.to_owned()).await;
    let store = database.store.clone();
    let lease = Duration::from_secs(10);
    let lease = HostLease::start(store.clone(), "bench".into(), "bench", lease).await?;
    let (ends, mut ended) = mpsc::unbounded_channel();
    let (engine, handle) = Engine::start_up(
        Parts {
            store: store.clone(),
            executor,
            definitions: Arc::new(Only(Arc::clone(definition))),
            clock: Arc::new(SystemClock),
            host: lease.host(),
            sagas: Arc::new(Notify::new()),
            outbox: Arc::new(Notify::new()),
            ends: Some(ends),
        },
        EngineOptions { committers: arguments.committers, ..EngineOptions::default() },
    );
    let waiting = Ends::default();
    tokio::spawn({
        let waiting = Arc::clone(&waiting);
        async move {
            while let Some(saga) = ended.recv().await {
                // An end may come before its starter has asked for it.
                let starter = waiting.lock().expect("nobody panics with it").remove(&saga);
                match starter {
                    Some(starter) => drop(starter.send(())),
                    None => drop(waiting.lock().expect("as above").insert(saga, closed())),
                }
            }
        }
    });
    let load = Load { engine, definition: Arc::clone(definition), waiting };
    load.run(arguments.concurrency, WARM_UP).await?;

    time::sleep(COUNTERS_SETTLE).await;
    let pid = env::var("WASAGA_BENCH_PG_PID").ok().and_then(|pid| pid.parse().ok());
    let pid = pid.context("WASAGA_BENCH_PG_PID must be the process id of Postgres")?;
    let (before, host, postgres) =
        (store.statistics().await?, process::own_cpu_seconds()?, process::cpu_seconds(pid)?);
    let begun = Instant::now();
    let mut latencies = load.run(arguments.concurrency, arguments.sagas).await?;
    let elapsed = begun.elapsed().as_secs_f64();
    let (host, postgres) =
        (process::own_cpu_seconds()? - host, process::cpu_seconds(pid)? - postgres);
    time::sleep(COUNTERS_SETTLE).await;
    let after = store.statistics().await?;
    stop(load, handle, lease).await;

    latencies.sort_unstable();
    let sagas = arguments.sagas as f64;
    Ok(Measured {
        rate: sagas / elapsed,
        latencies,
        commits: (after.commits - before.commits) as f64 / sagas,
        wal_bytes: (after.wal_bytes - before.wal_bytes) as f64 / sagas,
        host_cpu: host / sagas,
        postgres_cpu: postgres / sagas,
    })
}

async fn stop(load: Load, handle: EngineHandle, lease: HostLease) {
    drop(load);
    handle.stop().await;
    lease.stop().await;
}

/// A sender whose receiver is gone: it stands for an end that came first.
fn closed() -> oneshot::Sender<()> {
    oneshot::channel().0
}

#[derive(Clone)]
struct Load {
    engine: Engine,
    definition: Arc<Definition>,
    waiting: Ends,
}

impl Load {
    /// Runs so many sagas, so many at once, and returns how long each took.
    async fn run(&self, concurrency: usize, sagas: usize) -> Result<Vec<Duration>> {
        let left = Arc::new(Semaphore::new(sagas));
        let mut clients = JoinSet::new();
        for _ in 0..concurrency {
            let (load, left) = (self.clone(), Arc::clone(&left));
            clients.spawn(async move {
                let mut latencies = Vec::new();
                while let Ok(permit) = left.try_acquire() {
                    permit.forget();
                    latencies.push(load.one().await?);
                }
                anyhow::Ok(latencies)
            });
        }
        let mut latencies = Vec::with_capacity(sagas);
        while let Some(client) = clients.join_next().await {
            latencies.extend(client??);
        }
        Ok(latencies)
    }

    async fn one(&self) -> Result<Duration> {
        let begun = Instant::now();
        let request = StartRequest {
            definition: Arc::clone(&self.definition),
            business_key: None,
            input: input(),
            traceparent: None,
        };
        let started = self.engine.start(request).await?;
        let (end, ended) = oneshot::channel();
        let first = self
            .waiting
            .lock()
            .expect("nobody panics with it")
            .insert(started.saga_id, end)
            .is_some();
        if first {
            self.waiting.lock().expect("as above").remove(&started.saga_id);
        } else {
            ended.await.context("the saga ends")?;
        }
        Ok(begun.elapsed())
    }
}

fn input() -> Payload {
    Payload::json(
        r#"{"customer_id":"customer-123","items":[{"product_id":"product-1","quantity":2}]}"#,
    )
}

/// Microseconds of one call, from the executor's own report: the median of many, one after another.
async fn wasm_call_us(executor: &dyn StepExecutor, definition: &Arc<Definition>) -> Result<f64> {
    let mut took = Vec::new();
    for _ in 0..2000 {
        took.push(call::first_step(executor, definition, input()).await?.took);
    }
    took.sort_unstable();
    Ok(percentile(&took, 0.5) * 1e3)
}
