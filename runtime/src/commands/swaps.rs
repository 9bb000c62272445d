//! `wasaga plugins push` and its kin: over the database itself, whether a host runs or not; hosts take changes up with their
//! next look. A module is checked under this configuration's grants.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use serde_json::json;
use wasaga_domain::{
    clock::{SystemClock, parse_duration},
    ids::{Digest, PluginName},
    ports::{GuestHttp, ModuleError},
    swap::{CanaryPlan, Change, Part, Swap, Swapped},
};
use wasaga_plugin_host::{Options, PluginHost};
use wasaga_store::{Store, activation_history::PluginState, saga_search::Cursor};

use super::{saga::print, saga_ask::Who, swaps_print};
use crate::{config::Config, host::startup};

#[derive(Debug, Subcommand)]
pub(crate) enum Swaps {
    /// Check a component, keep it in the database and make it active on all hosts
    Push(Push),
    /// Make a module that the database has active on all hosts
    Activate(Activate),
    /// Go back to the module that was active before the active one
    Rollback(OfPlugin),
    /// Make a plugin's canary its active module
    Promote(OfPlugin),
    /// Take a plugin's canary away: its active module takes all calls
    EndCanary(End),
    /// Take away the module that undoes in the active one's place
    EndUndo(End),
    /// List plugins, with what runs of each
    List(Json),
    /// Print what runs of a plugin, and who changed it when and why
    History(History),
    /// List the sagas in flight that a change of a plugin's module touches
    Sagas(Sagas),
}

#[derive(Debug, Args)]
pub(crate) struct Json {
    /// Print JSON, as the HTTP API does
    #[arg(long)]
    json: bool,
}

/// What becomes of a module.
#[derive(Debug, Args)]
struct Becomes {
    /// Give it this percentage of sagas, and roll it back by itself where too many of its calls fail
    #[arg(long, value_name = "PERCENT")]
    canary: Option<u32>,
    /// Of a canary's calls, in percent: more failures end it [default: 5]
    #[arg(long, value_name = "PERCENT", requires = "canary")]
    max_errors: Option<f64>,
    /// A canary is not judged before it had so many calls [default: 50]
    #[arg(long, value_name = "N", requires = "canary")]
    min_calls: Option<u32>,
    /// Calls of a canary that are older do not count [default: 5m]
    #[arg(long, value_name = "TIME", requires = "canary")]
    window: Option<String>,
    /// Let it undo what the active module did, and nothing else
    #[arg(long, conflicts_with = "canary")]
    undo: bool,
    /// Also where sagas in flight need steps that it lacks
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Push {
    /// A .wasm file
    file: PathBuf,
    /// Keep it, and let nobody call it yet
    #[arg(long, conflicts_with_all = ["canary", "undo", "force"])]
    no_activate: bool,
    #[command(flatten)]
    becomes: Becomes,
}

#[derive(Debug, Args)]
pub(crate) struct Activate {
    /// The plugin's name
    plugin: PluginName,
    /// The module, as sha256:…
    digest: Digest,
    #[command(flatten)]
    becomes: Becomes,
}

#[derive(Debug, Args)]
pub(crate) struct OfPlugin {
    /// The plugin's name
    plugin: PluginName,
    /// Also where sagas in flight need steps that the module lacks
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct End {
    /// The plugin's name
    plugin: PluginName,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// The plugin's name
    plugin: PluginName,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Sagas {
    /// The plugin's name
    plugin: PluginName,
    /// With the steps that they would miss of this module, as sha256:…
    #[arg(long)]
    digest: Option<Digest>,
    /// How many, at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
    /// Go on where the list before ended
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    #[command(flatten)]
    json: Json,
}

impl Swaps {
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let store = startup::database(&config.database).await?;
        match self {
            Self::Push(Push { file, no_activate, becomes }) => {
                let bytes = std::fs::read(&file)
                    .with_context(|| format!("{} can't be read", file.display()))?;
                let change = if no_activate { Change::Pushed } else { becomes.change()? };
                let (mut swap, json) = becomes.swap(change, "push");
                swap.signature = signature_of(&file)?;
                let swapped = host(config, &store).await?.swap(bytes, &swap).await;
                let swapped = swapped.with_context(|| file.display().to_string())?;
                tell(&swapped, swap.change.as_str(), json)
            }
            Self::Activate(Activate { plugin, digest, becomes }) => {
                let change = becomes.change()?;
                let (swap, json) = becomes.swap(change, "activate");
                let swapped = host(config, &store).await?.swap_kept(&plugin, digest, &swap).await?;
                tell(&swapped, swap.change.as_str(), json)
            }
            Self::Rollback(OfPlugin { plugin, force, who, json }) => {
                let by = who.audit("rollback");
                let swapped = host(config, &store).await?.roll_back(&plugin, by, force).await?;
                tell(&swapped, Change::RolledBack.as_str(), json.json)
            }
            Self::Promote(OfPlugin { plugin, force, who, json }) => {
                let by = who.audit("promote");
                let swapped = host(config, &store).await?.promote(&plugin, by, force).await?;
                tell(&swapped, Change::CanaryPromoted.as_str(), json.json)
            }
            Self::EndCanary(end) => end.run(config, &store, Part::Canary).await,
            Self::EndUndo(end) => end.run(config, &store, Part::Undo).await,
            Self::List(json) => {
                let mut plugins = Vec::new();
                for name in store.plugins_list().await? {
                    plugins.extend(store.plugin_get(&name).await?);
                }
                if json.json {
                    return print(&json!({ "plugins": plugins }));
                }
                swaps_print::list(&plugins);
                Ok(())
            }
            Self::History(History { plugin, json }) => {
                let state = read(&store, &plugin).await?;
                if json.json {
                    return print(&state);
                }
                swaps_print::history(&state);
                Ok(())
            }
            Self::Sagas(sagas) => sagas.run(&store).await,
        }
    }
}

/// The text of FILE.minisig, where there is one.
pub(super) fn signature_of(file: &Path) -> anyhow::Result<Option<String>> {
    let file = format!("{}.minisig", file.display());
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{file} can't be read")),
    }
}

impl Becomes {
    fn change(&self) -> anyhow::Result<Change> {
        let Some(percent) = self.canary else {
            return Ok(if self.undo { Change::UndoTakenOver } else { Change::Activated });
        };
        let mut plan = CanaryPlan::new(percent);
        plan.max_error_percent = self.max_errors.unwrap_or(plan.max_error_percent);
        plan.min_calls = self.min_calls.unwrap_or(plan.min_calls);
        if let Some(window) = &self.window {
            let window = parse_duration(window).map_err(|why| anyhow!("--window: {why}"))?;
            plan.window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        }
        plan.fault().map_or(Ok(Change::CanaryStarted(plan)), |why| Err(anyhow!("--canary: {why}")))
    }

    fn swap(self, change: Change, verb: &str) -> (Swap, bool) {
        let by = self.who.audit(verb);
        (Swap { force: self.force, ..Swap::new(change, by) }, self.json.json)
    }
}

impl End {
    async fn run(self, config: &Config, store: &Store, part: Part) -> anyhow::Result<()> {
        let Self { plugin, who, json } = self;
        let verb = match part {
            Part::Canary => "end-canary",
            Part::Undo => "end-undo",
        };
        host(config, store).await?.end(&plugin, part, &who.audit(verb)).await?;
        if json.json {
            return print(&json!({ "plugin": plugin, "change": part.ended() }));
        }
        println!("{plugin}: {}", part.ended());
        Ok(())
    }
}

impl Sagas {
    async fn run(self, store: &Store) -> anyhow::Result<()> {
        let Self { plugin, digest, limit, after, json } = self;
        let after: Option<Cursor> = after
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|()| anyhow!("--after: it is not what the list before said"))?;
        let counts = store.sagas_touched_count(&plugin, digest).await?;
        let page = store.sagas_touched(&plugin, digest, after, limit.into()).await?;
        if json.json {
            let next = page.next.map(|next| next.to_string());
            return print(&json!({ "counts": counts, "sagas": page.sagas, "next": next }));
        }
        swaps_print::sagas(&counts, &page);
        Ok(())
    }
}

/// A host that checks modules and calls none, with the plugins that are active.
async fn host(config: &Config, store: &Store) -> anyhow::Result<Arc<PluginHost>> {
    // Only a cache directory that is named: the default one is another user's than the host's, perhaps.
    let cache_dir = config.plugins.cache_dir.clone().filter(|named| !named.as_os_str().is_empty());
    let http: Arc<dyn GuestHttp> = Arc::new(config.plugins.egress()?);
    let options = config.plugins.options(&config.definitions);
    let options = Options { cache_dir, http: Some(http), ..options };
    let database = Arc::new(store.clone());
    let host =
        PluginHost::new(options, Some(database.clone()), Some(database), Arc::new(SystemClock))?;
    match host.sync().await {
        Ok(()) => Ok(host),
        Err(ModuleError::Rejected(why) | ModuleError::Unavailable(why)) => Err(anyhow!(why)),
    }
}

async fn read(store: &Store, plugin: &PluginName) -> anyhow::Result<PluginState> {
    let state = store.plugin_get(plugin).await?;
    state.ok_or_else(|| anyhow!("no plugin {plugin} was ever active: `wasaga plugins list`"))
}

fn tell(swapped: &Swapped, change: &str, json: bool) -> anyhow::Result<()> {
    let Swapped { plugin, version, digest, previous, generation } = swapped;
    if json {
        return print(&json!({
            "plugin": plugin, "version": version, "digest": digest, "change": change, "previous": previous,
            "generation": generation,
        }));
    }
    println!("{plugin} {version} ({digest}): {change}");
    Ok(())
}
