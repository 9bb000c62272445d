//! `bench neighbours`: four-step sagas at a steady rate, by turns alone and while another plugin misbehaves, in each way in turn.

use std::{env, fs, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wasaga_domain::{
    clock::{Clock as _, SystemClock},
    definition::Definition,
    payload::Payload,
    ports::{CatalogSource as _, StepExecutor},
};
use wasaga_engine::driver::EngineOptions;
use wasaga_plugin_host::{Grants, Options, PluginHost};
use wasaga_store::{Store, StoreOptions, testing::database_on};

use crate::{
    call,
    figures::{percentile, print},
    load::Load,
};

/// What a misbehaving call may take at most.
const DEADLINE: Duration = Duration::from_secs(1);
const WARM_UP_S: f64 = 2.0;

#[derive(Args)]
pub struct Arguments {
    /// The neighbours' sagas a second
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// How long each part is measured
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Calls that misbehave at once, each followed by the next
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// Only this one, as the report names it
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    rate: f64,
    at_once: usize,
    alone_p50_ms: f64,
    alone_p99_ms: f64,
    /// The largest p99 beside that of the neighbours alone.
    worst_ratio: f64,
    beside: Vec<Beside>,
}

#[derive(Serialize)]
struct Beside {
    does: &'static str,
    /// How often it did so.
    times: u64,
    p50_ms: f64,
    p99_ms: f64,
    ratio: f64,
}

pub async fn run(arguments: &Arguments) -> Result<()> {
    let server = env::var("DATABASE_URL")
        .context("DATABASE_URL must name a Postgres: run `cargo xtask bench neighbours`")?;
    let plugins = env::var_os("WASAGA_BENCH_PLUGINS").map(PathBuf::from);
    let plugins = plugins.context("WASAGA_BENCH_PLUGINS must name the built plugins")?;
    let read = |name: &str| {
        let file = plugins.join(format!("{name}.wasm"));
        fs::read(&file).with_context(|| format!("{}", file.display()))
    };
    let grants = Grants { grant_all: true, ..Grants::default() };
    let options = Options { grants, ..Options::default() };
    let host = PluginHost::new(options, None, None, Arc::new(SystemClock))
        .map_err(|error| anyhow!("{error}"))?;
    for plugin in ["bench-rust", "probe-rust"] {
        host.install_local(read(plugin)?).await.map_err(|error| anyhow!("{error}"))?;
    }
    let definition = |name: &str| {
        let catalog = host.catalog();
        catalog.definitions.get(name).map(|active| active.definition.clone()).context("a saga")
    };
    let committers = EngineOptions::default().committers;
    let database = database_on(server).await;
    // Whether the disk is late is another question, and would hide the answer to this one.
    let name = database.url.rsplit('/').next().context("the url names a database")?;
    database.run(&format!("alter database {name} set synchronous_commit = off")).await;
    let store = Store::new(StoreOptions::new(database.url.clone()))?;
    let (load, running) =
        Load::start(store, &definition("bench")?, host.clone(), committers).await?;
    load.at(arguments.rate, WARM_UP_S).await?;

    let probe = definition("probe")?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let misdeeds = misdeeds(&read("probe-rust")?);
    let is_asked =
        |misdeed: &&Misdeed| arguments.only.as_deref().is_none_or(|only| only == misdeed.name());
    for misdeed in misdeeds.iter().filter(is_asked) {
        let does = misdeed.name();
        alone.extend(load.at(arguments.rate, arguments.seconds).await?);
        let stop = CancellationToken::new();
        let mut others = JoinSet::new();
        for _ in 0..arguments.at_once {
            others.spawn(misdeed.clone().repeat(host.clone(), probe.clone(), stop.clone()));
        }
        let latencies = load.at(arguments.rate, arguments.seconds).await;
        stop.cancel();
        let times = others.join_all().await.iter().sum();
        let mut latencies = latencies?;
        latencies.sort_unstable();
        beside.push((does, times, latencies));
    }
    running.stop(load).await;
    alone.sort_unstable();
    let alone_p99_ms = percentile(&alone, 0.99);
    let beside = beside.into_iter().map(|(does, times, latencies)| {
        let (p50_ms, p99_ms) = (percentile(&latencies, 0.5), percentile(&latencies, 0.99));
        Beside { does, times, p50_ms, p99_ms, ratio: p99_ms / alone_p99_ms }
    });
    let beside: Vec<_> = beside.collect();
    let report = Report {
        rate: arguments.rate,
        at_once: arguments.at_once,
        alone_p50_ms: percentile(&alone, 0.5),
        alone_p99_ms,
        worst_ratio: beside.iter().map(|beside| beside.ratio).fold(0.0, f64::max),
        beside,
    };
    print(&report, arguments.json)
}

/// What another plugin may do again and again.
#[derive(Clone)]
enum Misdeed {
    /// A step's call that does this.
    Call(&'static str, Value),
    /// Bytes that are offered as a plugin.
    Load(&'static str, Vec<u8>),
}

fn misdeeds(plugin: &[u8]) -> Vec<Misdeed> {
    let calls = [
        ("infinite loop", json!({"do": "spin"})),
        ("memory bomb", json!({"do": "oom"})),
        ("deep recursion", json!({"do": "overflow"})),
        ("log flood", json!({"do": "log", "lines": 100_000, "bytes": 8192})),
        ("flood of calls", json!({"do": "ask_time", "times": 1_000_000_000})),
        ("100 MB output", json!({"do": "big_output", "bytes": 100 << 20})),
        ("a million effects", json!({"do": "effects", "count": 1_000_000})),
        ("trap", json!({"do": "trap"})),
    ];
    let calls = calls.map(|(name, action)| Misdeed::Call(name, action));
    // A component that is cut off, and one that describes nothing: an empty one.
    let malformed = plugin[..plugin.len() / 2].to_vec();
    let no_plugin = b"\0asm\x0d\0\x01\0".to_vec();
    let loads = [
        Misdeed::Load("malformed component", malformed),
        Misdeed::Load("component that is no plugin", no_plugin),
    ];
    calls.into_iter().chain(loads).collect()
}

impl Misdeed {
    fn name(&self) -> &'static str {
        match self {
            Self::Call(name, _) | Self::Load(name, _) => name,
        }
    }

    /// Does it until it is stopped; how often.
    async fn repeat(
        self,
        host: Arc<PluginHost>,
        probe: Arc<Definition>,
        stop: CancellationToken,
    ) -> u64 {
        let mut times = 0;
        while !stop.is_cancelled() {
            self.once(&host, &probe).await;
            times += 1;
        }
        times
    }

    async fn once(&self, host: &PluginHost, probe: &Arc<Definition>) {
        match self {
            Self::Call(_, action) => {
                let script = json!({"steps": {"a": [action]}});
                let input = Payload::json(script.to_string());
                let deadline = SystemClock.now().after(DEADLINE);
                let executor: &dyn StepExecutor = host;
                // How it fails is the tests' affair.
                let _ = call::first_step_until(executor, probe, input, deadline).await;
            }
            Self::Load(_, bytes) => {
                let _ = host.install_local(bytes.clone()).await;
            }
        }
    }
}
