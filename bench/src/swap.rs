//! `bench swap`: two versions of a plugin take each other's place under full load. Steps are timed from one call of a saga
//! to its next, so with their commit; times with swaps and times without take turns in one run.

use std::{
    collections::HashMap,
    env, fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval, sleep};
use wasaga_domain::{
    clock::SystemClock,
    ids::{Digest, SagaId},
    mail::Audit,
    ports::{CatalogSource, Report, StepCall, StepExecutor, StepReport},
    swap::{Change, Swap},
};
use wasaga_engine::driver::EngineOptions;
use wasaga_plugin_host::{Options, PluginHost};
use wasaga_store::testing::database_on;

use crate::{
    figures::{percentile, print},
    load::Load,
};

const WARM_UP: usize = 500;

#[derive(Args)]
pub struct Arguments {
    /// Sagas in flight at once
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Swaps in all
    #[arg(long, default_value_t = 100)]
    swaps: usize,
    /// From one swap to the next
    #[arg(long, default_value_t = 200)]
    every_ms: u64,
    /// In so many turns of swaps, each after one without
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is printed.
#[derive(Serialize)]
struct Figures {
    swaps: usize,
    errors: usize,
    p99_ms_with_swaps: f64,
    p99_ms_without: f64,
    p99_ratio: f64,
    p50_ms_with_swaps: f64,
    p50_ms_without: f64,
    steps_with_swaps: usize,
    steps_without: usize,
    swap_p50_ms: f64,
    swap_max_ms: f64,
    calls_of_each_version: [usize; 2],
    concurrency: usize,
}

/// Calls the host, and takes the time of each step.
struct Timed {
    host: Arc<PluginHost>,
    versions: [Digest; 2],
    /// Since when each saga's current step runs.
    since: Mutex<HashMap<SagaId, Instant>>,
    swapping: AtomicBool,
    /// Without swaps, with them.
    steps: [Mutex<Vec<Duration>>; 2],
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    errors: AtomicUsize,
    calls: [AtomicUsize; 2],
}

impl StepExecutor for Timed {
    fn run(&self, call: StepCall, report: Report<StepReport>) {
        let (saga, now) = (call.attempt.saga_id, Instant::now());
        let mut since = self.since.lock().expect("nobody panics with it");
        let began = if &*call.attempt.step == "a" { None } else { since.get(&saga).copied() };
        if &*call.attempt.step == "d" {
            since.remove(&saga);
        } else {
            since.insert(saga, now);
        }
        drop(since);
        if let Some(began) = began {
            let turn = usize::from(self.swapping.load(Ordering::Relaxed));
            self.steps[turn].lock().expect("as above").push(now - began);
        }
        let (seen, versions) = (Arc::clone(&self.seen), self.versions);
        let counted = move |reported: StepReport| {
            if reported.outcome.is_err() {
                seen.errors.fetch_add(1, Ordering::Relaxed);
            }
            let version = versions.iter().position(|version| Some(*version) == reported.digest);
            if let Some(version) = version {
                seen.calls[version].fetch_add(1, Ordering::Relaxed);
            }
            report(reported);
        };
        self.host.run(call, Box::new(counted));
    }
}

pub async fn run(arguments: &Arguments) -> Result<()> {
    let positive = arguments.rounds > 0 && arguments.every_ms > 0;
    ensure!(positive, "--rounds and --every-ms must be at least 1");
    let server = env::var("DATABASE_URL")
        .context("DATABASE_URL must name a Postgres: run `cargo xtask bench swap`")?;
    let plugins = env::var_os("WASAGA_BENCH_PLUGINS").map(PathBuf::from);
    let plugins = plugins.context("WASAGA_BENCH_PLUGINS must name the built plugins")?;
    let database = database_on(server).await;
    let store = Arc::new(database.store.clone());
    let cache = env::temp_dir().join(format!("wasaga-bench-swap-{}", std::process::id()));
    let options = Options { cache_dir: Some(cache.clone()), ..Options::default() };
    let host =
        PluginHost::new(options, Some(store.clone()), Some(store.clone()), Arc::new(SystemClock))?;
    let change = |change| Swap::new(change, Audit::because("bench swap"));
    let mut versions = Vec::new();
    for (name, what) in [("bench-rust", Change::Activated), ("bench-v2-rust", Change::Pushed)] {
        let module = plugins.join(format!("{name}.wasm"));
        let bytes = fs::read(&module).with_context(|| format!("{}", module.display()))?;
        versions.push(host.swap(bytes, &change(what)).await?.digest);
    }
    let versions = [versions[0], versions[1]];
    let catalog = host.catalog();
    let active = catalog.definitions.get("bench").context("the plugin defines the saga `bench`")?;
    let definition = Arc::clone(&active.definition);

    let timed = Arc::new(Timed {
        host: host.clone(),
        versions,
        since: Mutex::default(),
        swapping: AtomicBool::new(false),
        steps: Default::default(),
        seen: Arc::default(),
    });
    let committers = EngineOptions::default().committers;
    let (load, running) =
        Load::start(database.store.clone(), &definition, timed.clone(), committers).await?;
    load.run(arguments.concurrency, WARM_UP).await?;
    timed.steps[0].lock().expect("nobody panics with it").clear();

    let ended = Arc::new(AtomicBool::new(false));
    let clients = tokio::spawn({
        let (load, ended, concurrency) = (load.clone(), ended.clone(), arguments.concurrency);
        async move {
            while !ended.load(Ordering::Relaxed) {
                load.run(concurrency, 20 * concurrency).await?;
            }
            anyhow::Ok(())
        }
    });
    let mut swaps = Vec::new();
    for round in 0..arguments.rounds {
        let part = (arguments.swaps * (round + 1)) / arguments.rounds - swaps.len();
        let every = Duration::from_millis(arguments.every_ms);
        sleep(every * u32::try_from(part)?).await;
        timed.swapping.store(true, Ordering::Relaxed);
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..part {
            ticks.tick().await;
            let digest = versions[(swaps.len() + 1) % 2];
            let begun = Instant::now();
            host.swap_kept(&definition.plugin, digest, &change(Change::Activated)).await?;
            swaps.push(begun.elapsed());
        }
        ticks.tick().await;
        timed.swapping.store(false, Ordering::Relaxed);
    }
    ended.store(true, Ordering::Relaxed);
    clients.await??;
    running.stop(load).await;
    fs::remove_dir_all(&cache)?;

    swaps.sort_unstable();
    let sorted = |turn: usize| {
        let mut steps = timed.steps[turn].lock().expect("nobody panics with it").clone();
        steps.sort_unstable();
        steps
    };
    let (without, with) = (sorted(0), sorted(1));
    let (p99_with, p99_without) = (percentile(&with, 0.99), percentile(&without, 0.99));
    let calls = |version: usize| timed.seen.calls[version].load(Ordering::Relaxed);
    let figures = Figures {
        swaps: swaps.len(),
        errors: timed.seen.errors.load(Ordering::Relaxed),
        p99_ms_with_swaps: p99_with,
        p99_ms_without: p99_without,
        p99_ratio: p99_with / p99_without,
        p50_ms_with_swaps: percentile(&with, 0.5),
        p50_ms_without: percentile(&without, 0.5),
        steps_with_swaps: with.len(),
        steps_without: without.len(),
        swap_p50_ms: percentile(&swaps, 0.5),
        swap_max_ms: percentile(&swaps, 1.0),
        calls_of_each_version: [calls(0), calls(1)],
        concurrency: arguments.concurrency,
    };
    print(&figures, arguments.json)?;
    let [one, two] = figures.calls_of_each_version;
    if figures.errors > 0 || one == 0 || two == 0 {
        return Err(anyhow!(
            "{} errors; calls of the two versions: {one} and {two}",
            figures.errors
        ));
    }
    Ok(())
}
