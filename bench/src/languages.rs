//! `bench call`: what a plugin costs, by the language in which it is written. All run the first step of the same saga, that
//! of the templates: JSON in, JSON out.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde::Serialize;
use uuid::Uuid;
use wasaga_domain::{
    clock::SystemClock, definition::Definition, outcome::StepOutcome, payload::Payload,
    ports::CatalogSource as _,
};
use wasaga_plugin_host::{Limits, Options, PluginHost};

use crate::{
    call,
    figures::{median, percentile, print},
    sagas::{self, StepCost},
};

/// Language and component.
const LANGUAGES: [(&str, &str); 5] = [
    ("rust", "greeting-rust"),
    ("c", "template-c"),
    ("go", "template-go"),
    ("javascript", "template-javascript"),
    ("python", "template-python"),
];
/// A page of WebAssembly's memory, in bytes.
const PAGE: usize = 64 << 10;
const LOADS: usize = 5;

#[derive(Args)]
pub struct Arguments {
    /// Calls of each language
    #[arg(long, default_value_t = 2_000)]
    calls: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    rust: Figures,
    c: Figures,
    go: Figures,
    javascript: Figures,
    python: Figures,
    /// In a new instance for each attempt.
    step: Step,
    /// In instances that serve many.
    step_reused: Step,
}

#[derive(Serialize)]
struct Figures {
    module_bytes: usize,
    /// From bytes to a plugin that can be called: machine code is made.
    compile_ms: f64,
    /// The same where the machine has the code already.
    cached_load_ms: f64,
    /// A call in an instance of its own, from the executor's report.
    fresh_call_us: f64,
    fresh_call_p99_us: f64,
    /// The smallest limit under which it loads and runs.
    memory_bytes: usize,
}

/// A Rust guest that does nothing, beside all that a step takes of the processors under load.
#[derive(Serialize)]
struct Step {
    /// Of host and Postgres together, the guest with it.
    cpu_us: f64,
    /// The guest's call.
    call_us: f64,
    share: f64,
    /// Of the processors, by the guests' threads: the call, and its way there and back.
    threads_us: f64,
}

pub async fn run(arguments: &Arguments) -> Result<()> {
    let plugins = env::var_os("WASAGA_BENCH_PLUGINS").map(PathBuf::from);
    let plugins = plugins.context("WASAGA_BENCH_PLUGINS must name the built plugins")?;
    let cache = env::temp_dir().join(format!("wasaga-bench-{}", Uuid::new_v4().simple()));
    let measured = all(&plugins, &cache, arguments.calls).await;
    // It is not there where nothing was measured.
    let _ = fs::remove_dir_all(&cache);
    let [rust, c, go, javascript, python] = measured?;
    let step = Step::new(&sagas::step_cost(false).await?);
    let step_reused = Step::new(&sagas::step_cost(true).await?);
    let report = Report { rust, c, go, javascript, python, step, step_reused };
    print(&report, arguments.json)
}

impl Step {
    fn new(&StepCost { cpu, call, threads }: &StepCost) -> Self {
        Self { cpu_us: cpu, call_us: call, share: call / cpu, threads_us: threads }
    }
}

async fn all(plugins: &Path, cache: &Path, calls: usize) -> Result<[Figures; 5]> {
    let mut measured = Vec::new();
    for (language, component) in LANGUAGES {
        let file = plugins.join(format!("{component}.wasm"));
        let bytes = fs::read(&file).with_context(|| format!("{}", file.display()))?;
        measured.push(figures(bytes, cache, calls).await.context(language)?);
    }
    measured.try_into().map_err(|_| anyhow!("each language is measured once"))
}

async fn figures(bytes: Vec<u8>, cache: &Path, calls: usize) -> Result<Figures> {
    let (_, compile) = load(&bytes, Options::default()).await?;
    let cached = || Options { cache_dir: Some(cache.to_owned()), ..Options::default() };
    let (mut plugin, _) = load(&bytes, cached()).await?;
    let mut loads = Vec::new();
    for _ in 0..LOADS {
        let took;
        (plugin, took) = load(&bytes, cached()).await?;
        loads.push(took.as_secs_f64() * 1e3);
    }
    for _ in 0..20 {
        plugin.call().await?;
    }
    let mut took = Vec::with_capacity(calls);
    for _ in 0..calls {
        took.push(plugin.call().await?);
    }
    took.sort_unstable();
    // Below the first it does not run, with the second it does.
    let (mut few, mut enough) = (0, Limits::default().memory_bytes / PAGE);
    while enough - few > 1 {
        let pages = usize::midpoint(few, enough);
        let limits = Limits { memory_bytes: pages * PAGE, ..Limits::default() };
        let runs = match load(&bytes, Options { limits, ..cached() }).await {
            Ok((plugin, _)) => plugin.call().await.is_ok(),
            Err(_) => false,
        };
        if runs { enough = pages } else { few = pages }
    }
    Ok(Figures {
        module_bytes: bytes.len(),
        compile_ms: compile.as_secs_f64() * 1e3,
        cached_load_ms: median(loads),
        fresh_call_us: percentile(&took, 0.5) * 1e3,
        fresh_call_p99_us: percentile(&took, 0.99) * 1e3,
        memory_bytes: enough * PAGE,
    })
}

struct Plugin {
    host: Arc<PluginHost>,
    definition: Arc<Definition>,
}

/// A host with this plugin alone, and how long it took to load.
async fn load(bytes: &[u8], options: Options) -> Result<(Plugin, Duration)> {
    let host = PluginHost::new(options, None, None, Arc::new(SystemClock))
        .map_err(|error| anyhow!("{error}"))?;
    let bytes = bytes.to_vec();
    let begun = Instant::now();
    host.install_local(bytes).await.map_err(|error| anyhow!("{error}"))?;
    let took = begun.elapsed();
    let catalog = host.catalog();
    let (_, active) = catalog.definitions.iter().next().context("it defines a saga")?;
    Ok((Plugin { host, definition: active.definition.clone() }, took))
}

impl Plugin {
    async fn call(&self) -> Result<Duration> {
        let input = Payload::json(r#"{"greeting_id":"g-1","name":"Ada"}"#);
        let report = call::first_step(&*self.host, &self.definition, input).await?;
        match report.outcome {
            Ok(StepOutcome::Done(_)) => Ok(report.took),
            outcome => bail!("the first step is not done: {outcome:?}"),
        }
    }
}
