//! `bench sagas`: a four-step saga, each step a fresh WASM instance that is done at once, from its start to its
//! committed end.

use std::{
    env, fs, mem,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde::Serialize;
use tokio::time;
use wasaga_domain::{
    clock::SystemClock,
    definition::Definition,
    ports::{CatalogSource, Report, StepCall, StepExecutor, StepReport},
};
use wasaga_engine::driver::EngineOptions;
use wasaga_plugin_host::{Options, PluginHost};
use wasaga_services::process;
use wasaga_store::testing::database_on;

use crate::{
    call,
    figures::{percentile, print},
    limits,
    load::{Load, input},
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
    /// That of the threads on which guests run, which is a part of the host's.
    guest_cpu: f64,
    postgres_cpu: f64,
}

pub async fn run(arguments: &Arguments) -> Result<()> {
    let server = server()?;
    let (executor, definition) = plugin(Options::default()).await?;
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

/// What a step costs under load, in microseconds.
pub struct StepCost {
    /// Of the processors: host and Postgres together, the guest with it.
    pub cpu: f64,
    /// The guest's call from its turn on, half of them at most.
    pub call: f64,
    /// Of the processors: the threads on which guests run, which take calls out of their queue and report them too.
    pub threads: f64,
}

/// Measures it, with a new instance for each attempt or, with `reuse`, with instances that serve many.
pub async fn step_cost(reuse: bool) -> Result<StepCost> {
    let plugins = reuse.then(|| "bench".parse().map(|name| (name, u32::MAX))).transpose();
    let reuse = plugins.context("a plugin's name")?.into_iter().collect();
    let (executor, definition) = plugin(Options { reuse, ..Options::default() }).await?;
    let committers = EngineOptions::default().committers;
    let arguments = Arguments { concurrency: 256, sagas: 10_000, json: false, committers };
    let timed = Arc::new(Timed { executor, took: Arc::default() });
    let measured = measure(&arguments, &server()?, &definition, timed.clone()).await?;
    let mut took = mem::take(&mut *timed.took.lock().expect("nobody panics with it"));
    took.sort_unstable();
    let of_step = 1e6 / definition.steps.len() as f64;
    Ok(StepCost {
        cpu: (measured.host_cpu + measured.postgres_cpu) * of_step,
        call: percentile(&took, 0.5) * 1e3,
        threads: measured.guest_cpu * of_step,
    })
}

/// Keeps how long calls took.
struct Timed {
    executor: Arc<dyn StepExecutor>,
    took: Arc<Mutex<Vec<Duration>>>,
}

impl StepExecutor for Timed {
    fn run(&self, call: StepCall, report: Report<StepReport>) {
        let took = self.took.clone();
        let timed = move |reported: StepReport| {
            took.lock().expect("nobody panics with it").push(reported.took);
            report(reported);
        };
        self.executor.run(call, Box::new(timed));
    }
}

fn server() -> Result<String> {
    env::var("DATABASE_URL")
        .context("DATABASE_URL must name a Postgres: run it by `cargo xtask bench`")
}

/// A host with the bench's plugin, and the saga that this defines.
async fn plugin(options: Options) -> Result<(Arc<dyn StepExecutor>, Arc<Definition>)> {
    let plugins = env::var_os("WASAGA_BENCH_PLUGINS").map(PathBuf::from);
    let plugins = plugins.context("WASAGA_BENCH_PLUGINS must name the built plugins")?;
    let module = plugins.join("bench-rust.wasm");
    let bytes = fs::read(&module).with_context(|| format!("{}", module.display()))?;
    let host = PluginHost::new(options, None, None, Arc::new(SystemClock))
        .map_err(|error| anyhow!("{error}"))?;
    host.install_local(bytes).await.map_err(|error| anyhow!("{error}"))?;
    let catalog = host.catalog();
    let active = catalog.definitions.get("bench").context("the plugin defines the saga `bench`")?;
    Ok((host, Arc::clone(&active.definition)))
}

/// Runs the loop on a database of its own.
async fn measure(
    arguments: &Arguments,
    server: &str,
    definition: &Arc<Definition>,
    executor: Arc<dyn StepExecutor>,
) -> Result<Measured> {
    let database = database_on(server.to_owned()).await;
    let store = database.store.clone();
    let (load, running) =
        Load::start(store.clone(), definition, executor, arguments.committers).await?;
    load.run(arguments.concurrency, WARM_UP).await?;

    time::sleep(COUNTERS_SETTLE).await;
    let pid = env::var("WASAGA_BENCH_PG_PID").ok().and_then(|pid| pid.parse().ok());
    let pid = pid.context("WASAGA_BENCH_PG_PID must be the process id of Postgres")?;
    let cpu = || {
        let guests = process::own_threads_cpu_seconds(&["guest", "guest-behind"])?;
        anyhow::Ok((process::own_cpu_seconds()?, guests, process::cpu_seconds(pid)?))
    };
    let (before, (host, guest, postgres)) = (store.statistics().await?, cpu()?);
    let begun = Instant::now();
    let mut latencies = load.run(arguments.concurrency, arguments.sagas).await?;
    let elapsed = begun.elapsed().as_secs_f64();
    let (host_after, guest_after, postgres_after) = cpu()?;
    time::sleep(COUNTERS_SETTLE).await;
    let after = store.statistics().await?;
    running.stop(load).await;

    latencies.sort_unstable();
    let sagas = arguments.sagas as f64;
    Ok(Measured {
        rate: sagas / elapsed,
        latencies,
        commits: (after.commits - before.commits) as f64 / sagas,
        wal_bytes: (after.wal_bytes - before.wal_bytes) as f64 / sagas,
        host_cpu: (host_after - host) / sagas,
        guest_cpu: (guest_after - guest) / sagas,
        postgres_cpu: (postgres_after - postgres) / sagas,
    })
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
