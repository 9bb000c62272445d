//! `wasaga dev`: a project is built on every save, tried, and swapped into a host.

use std::{
    env, fs,
    net::{IpAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{
    process::{Child, Command},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::{block_in_place, spawn_blocking},
    time::timeout,
};
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};
use wasaga_domain::manifest::{Capabilities, Manifest};
use wasaga_guest_build::{Project, publish};
use wasaga_plugin_host::Grants;
use wasaga_services::{
    Postgres, PostgresOptions,
    process::{Signal, signal},
};

use super::{plugins, project};
use crate::{
    config::{Config, DatabaseUrl},
    host,
};

/// How long nothing must have been saved before a build: editors write in several steps, and some save several files.
const QUIET: Duration = Duration::from_millis(200);
/// What builds leave in a project.
const MADE: [&str; 4] = ["build", "target", "node_modules", "__pycache__"];

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// The project: a directory with a plugin.toml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The plugin directory of a host that runs already; without it a host is started
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

impl Dev {
    /// Until Ctrl-C. Its own host has what the configuration does not name: a Postgres and a broker of its own, for as long as
    /// it runs.
    pub(crate) async fn run(self, mut config: Config) -> anyhow::Result<()> {
        let project = project::project(&self.dir)?;
        if let Some(into) = self.into {
            if !into.is_dir() {
                bail!("--into {}: there is no such directory", into.display());
            }
            let bench = Bench::new(project, into, config)?;
            return tokio::select! {
                ended = bench.work() => ended,
                interrupted = tokio::signal::ctrl_c() => interrupted.context("signals can't be received"),
            };
        }
        // What is compiled once is compiled for the check, the scenarios and the host.
        config.plugins.cache_dir.get_or_insert_with(|| project.directory.join("build/compiled"));
        let _database = block_in_place(|| database(&mut config))?;
        config.kafka.embedded |= config.kafka.enabled && config.kafka.brokers.is_empty();
        if is_loopback(&config) {
            config.plugins.grant_all = true;
            config.plugins.trusted_keys.clear();
        } else {
            let host = &config.server.host;
            println!(
                "server.host = {host}: others reach it, so the plugin gets only what is granted"
            );
        }
        let own = || project.directory.join("build/plugins");
        let into = config.plugins.dir.get_or_insert_with(own).clone();
        fs::create_dir_all(&into).with_context(|| format!("cannot make {}", into.display()))?;
        let bench = Bench::new(project, into, config.clone())?;
        tokio::select! {
            ended = Box::pin(host::run(config)) => ended,
            ended = bench.work() => ended,
        }
    }
}

/// A Postgres for this run, where the configuration names none.
fn database(config: &mut Config) -> anyhow::Result<Option<Postgres>> {
    if config.database.url.is_some() || config.database.url_file.is_some() {
        return Ok(None);
    }
    let postgres = Postgres::start(PostgresOptions::default())
        .context("no database is configured (DATABASE_URL), and none can be started")?;
    println!("a Postgres of its own, until this ends: {}", postgres.url());
    config.database.url = Some(DatabaseUrl::from(postgres.url().as_str()));
    Ok(Some(postgres))
}

fn is_loopback(config: &Config) -> bool {
    let server = &config.server;
    let addresses = (server.host.as_str(), server.port).to_socket_addrs();
    addresses.is_ok_and(|mut all| all.all(|address| IpAddr::is_loopback(&address.ip())))
}

/// The project, and where its component goes.
struct Bench {
    project: Project,
    into: PathBuf,
    config: Config,
    watcher: RecommendedWatcher,
    saved: UnboundedReceiver<()>,
    /// What was told last that production has to grant.
    told: Option<String>,
}

impl Bench {
    fn new(project: Project, into: PathBuf, config: Config) -> anyhow::Result<Self> {
        let (told, saved) = unbounded_channel();
        let of_project = project.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_save(&event, &of_project)) {
                // Nobody listens any more when this program ends.
                let _ = told.send(());
            }
        });
        let watcher = watcher.context("files can't be watched")?;
        Ok(Self { project, into, config, watcher, saved, told: None })
    }

    /// Builds, tries and swaps in, now and after every save.
    async fn work(mut self) -> anyhow::Result<()> {
        loop {
            self.watch()?;
            match self.turn().await {
                Ok(()) => println!("{} is in {}", self.project.name, self.into.display()),
                Err(error) => println!("{} stays as it was: {error:#}", self.project.name),
            }
            if self.saved.recv().await.is_none() {
                bail!("files are not watched any more");
            }
            while let Ok(Some(())) = timeout(QUIET, self.saved.recv()).await {}
        }
    }

    /// All but what builds leave, also directories that are new since.
    fn watch(&mut self) -> anyhow::Result<()> {
        let directory = self.project.directory.clone();
        let cannot = || format!("{} can't be watched", directory.display());
        let entries = fs::read_dir(&directory).with_context(cannot)?.flatten();
        let sources = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
        for path in sources.filter(|path| !is_made(path, &directory)) {
            self.watcher.watch(&path, RecursiveMode::Recursive).with_context(cannot)?;
        }
        self.watcher.watch(&directory, RecursiveMode::NonRecursive).with_context(cannot)
    }

    async fn turn(&mut self) -> anyhow::Result<()> {
        let (project, component) = (self.project.clone(), project::component(&self.project));
        let out = component.clone();
        spawn_blocking(move || project::build(&project, &out))
            .await?
            .context("it does not build")?;
        let grants = Grants { grant_all: true, ..self.config.plugins.all_grants() };
        // It is active nowhere yet, whatever the log of its check says.
        let check = plugins::load(&self.config, &component, grants);
        let plugin = check.with_subscriber(NoSubscriber::default()).await?;
        self.tell_grants(&plugin.manifest);
        self.test(&component).await?;
        publish(&component, &self.into.join(format!("{}.wasm", self.project.name)))?;
        Ok(())
    }

    /// Runs its scenarios in a process of their own, which keeps the log for its report.
    async fn test(&self, component: &Path) -> anyhow::Result<()> {
        let scenarios = self.project.directory.join("scenarios");
        if !scenarios.is_dir() {
            return Ok(());
        }
        let mut test = Command::new(env::current_exe()?);
        test.arg("test").arg(component).arg(scenarios);
        if let Some(url) = &self.config.database.url {
            test.env("WASAGA_TEST_DATABASE", url.expose());
        }
        if let Some(compiled) = &self.config.plugins.cache_dir {
            test.env("WASAGA_PLUGINS__CACHE_DIR", compiled);
        }
        if !Trial(test.spawn()?).0.wait().await?.success() {
            bail!("its scenarios fail");
        }
        Ok(())
    }

    fn tell_grants(&mut self, manifest: &Manifest) {
        let table = grant_table(manifest);
        if self.told != table {
            if let Some(table) = &table {
                println!("what it asks for, production has to grant:\n\n{table}");
            }
            self.told = table;
        }
    }
}

/// A `wasaga test` under way. Dropped, it is asked to end, and takes down what it has started.
struct Trial(Child);

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(pid) = self.0.id() {
            signal(pid, Signal::TERM);
        }
    }
}

/// What to write into a host's configuration for a plugin that asks for something.
fn grant_table(manifest: &Manifest) -> Option<String> {
    let Capabilities { sql, event_store, http_hosts, topics, config_keys, secrets } =
        &manifest.capabilities;
    let hosts: Vec<_> = http_hosts.iter().map(ToString::to_string).collect();
    let values: Vec<_> = config_keys.iter().map(|key| format!("{key} = \"\"")).collect();
    let sources: Vec<_> = secrets.iter().map(|key| format!("{key} = {{ file = \"\" }}")).collect();
    let lines = [
        sql.then(|| "sql = true".to_owned()),
        event_store.then(|| "event_store = true".to_owned()),
        (!hosts.is_empty()).then(|| format!("http_hosts = {hosts:?}")),
        (!topics.is_empty()).then(|| format!("topics = {topics:?}")),
        (!values.is_empty()).then(|| format!("config = {{ {} }}", values.join(", "))),
        (!sources.is_empty()).then(|| format!("secrets = {{ {} }}", sources.join(", "))),
    ];
    let lines: Vec<_> = lines.into_iter().flatten().map(|line| line + "\n").collect();
    (!lines.is_empty()).then(|| format!("[plugins.{}.grant]\n{}", manifest.name, lines.concat()))
}

fn is_save(event: &Event, project: &Project) -> bool {
    let changes =
        matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_));
    let is_source =
        |path: &PathBuf| !is_made(path, &project.directory) && !project.has_types_in(path);
    changes && event.paths.iter().any(is_source)
}

fn is_made(path: &Path, directory: &Path) -> bool {
    let inner = path.strip_prefix(directory).unwrap_or(path);
    inner.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        part.starts_with('.') || MADE.contains(&&*part)
    })
}
