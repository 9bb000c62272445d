//! `wasaga.activation_history`: who changed which module of a plugin runs what, and what runs now.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use wasaga_domain::{
    clock::UnixMillis,
    ids::{Digest, PluginName},
};

use crate::{Store, StoreError};

/// How many entries and modules are shown, the newest.
const SHOWN: i64 = 100;

/// How far back a roll-back looks.
const LOOKS: i64 = 1000;

/// A plugin, as its operator sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginState {
    /// Its name.
    pub plugin: String,
    /// Takes the calls.
    pub active: ModuleState,
    /// Undoes what the active one did; absent: it does so itself.
    pub undo: Option<ModuleState>,
    /// Takes a part of the calls.
    pub canary: Option<CanaryState>,
    /// The digest of the module that a roll-back goes to.
    pub before: Option<String>,
    /// Its modules, newest first.
    pub modules: Vec<ModuleState>,
    /// What was changed, newest first.
    pub history: Vec<HistoryEntry>,
}

/// A module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModuleState {
    /// Its digest, as `sha256:…`.
    pub digest: String,
    /// What it says is its version.
    pub version: String,
    /// The component's bytes.
    pub size: i32,
    /// When it was kept first.
    pub created_at: String,
}

/// A canary, and what the calls of its window came to so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CanaryState {
    /// Its module.
    #[serde(flatten)]
    pub module: ModuleState,
    /// Its plan: `percent`, `max_error_percent`, `min_calls`, `window_ms`.
    pub plan: Value,
    /// What its calls came to: `calls`, `failures`, `active_calls`, `active_failures`.
    pub figures: Value,
    /// When it was started.
    pub started_at: String,
}

/// What runs of a plugin beside its active module.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PluginParts {
    /// Undoes what the active module did; absent: it does so itself.
    pub undo: Option<ModuleState>,
    /// Takes a part of the calls.
    pub canary: Option<CanaryState>,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryEntry {
    /// What was done, as `activated` or `rolled_back`.
    pub what: String,
    /// The module that it was done to.
    pub digest: String,
    /// What it says is its version.
    pub version: String,
    /// The module that was active before.
    pub previous: Option<String>,
    /// Whoever asked for it.
    pub by: Option<String>,
    /// Why.
    pub reason: String,
    /// Sagas in flight needed steps that the module lacks.
    pub forced: bool,
    /// A canary's plan where it was started, and what its calls came to where it was ended.
    pub figures: Option<Value>,
    /// When it was done.
    pub at: String,
}

#[derive(FromRow)]
struct Entry {
    what: String,
    digest: Vec<u8>,
    version: String,
    previous: Option<Vec<u8>>,
    by: Option<String>,
    reason: String,
    forced: bool,
    figures: Option<Value>,
    at_ms: i64,
}

#[derive(FromRow)]
struct Module {
    digest: Vec<u8>,
    version: String,
    size: i32,
    created_ms: i64,
}

/// An undo module; with a plan and what belongs to it, a canary.
#[derive(FromRow)]
struct Part {
    plugin: String,
    #[sqlx(flatten)]
    module: Module,
    plan: Option<Value>,
    figures: Option<Value>,
    started_ms: Option<i64>,
}

#[derive(FromRow)]
struct Running {
    digest: Vec<u8>,
    undo_digest: Option<Vec<u8>>,
    canary_digest: Option<Vec<u8>>,
    plan: Option<Value>,
    figures: Option<Value>,
    canary_ms: Option<i64>,
}

impl Store {
    /// The names of all plugins that were ever active.
    pub async fn plugins_list(&self) -> Result<Vec<PluginName>, StoreError> {
        let names: Vec<String> =
            sqlx::query_scalar("select plugin from wasaga.activations order by plugin")
                .fetch_all(&self.pool)
                .await?;
        // Each was one when it was written.
        Ok(names.into_iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// A plugin that was ever active.
    pub async fn plugin_get(&self, plugin: &PluginName) -> Result<Option<PluginState>, StoreError> {
        let running: Option<Running> = sqlx::query_as(
            "select a.digest, a.undo_digest, c.digest as canary_digest, wasaga.millis(c.started_at) as canary_ms,
                 case when c.id is not null then wasaga.canary_plan(c) end as plan,
                 case when c.id is not null then wasaga.canary_figures(c) end as figures
             from wasaga.activations a left join wasaga.canaries c using (plugin) where a.plugin = $1",
        )
        .bind(plugin.as_str())
        .fetch_optional(&self.pool)
        .await?;
        let Some(running) = running else { return Ok(None) };
        let modules: Vec<Module> = sqlx::query_as(
            "select digest, version, length(bytes) as size, wasaga.millis(created_at) as created_ms
             from wasaga.modules where plugin = $1 order by created_at desc, digest",
        )
        .bind(plugin.as_str())
        .fetch_all(&self.pool)
        .await?;
        let modules: Vec<_> = modules.into_iter().map(ModuleState::from).collect();
        let module = |digest: &[u8]| {
            let digest = text(digest);
            modules.iter().find(|module| module.digest == digest).cloned().ok_or_else(|| {
                StoreError::stored("wasaga.activations", "digest", plugin, "its module is gone")
            })
        };
        let canary = match (&running.canary_digest, running.plan, running.figures) {
            (Some(digest), Some(plan), Some(figures)) => Some(CanaryState {
                module: module(digest)?,
                plan,
                figures,
                started_at: at(running.canary_ms.unwrap_or_default()),
            }),
            _ => None,
        };
        Ok(Some(PluginState {
            plugin: plugin.to_string(),
            active: module(&running.digest)?,
            undo: running.undo_digest.as_deref().map(module).transpose()?,
            canary,
            before: self.module_before(plugin).await?.map(|digest| digest.to_string()),
            history: self.history(plugin).await?,
            modules: modules.into_iter().take(SHOWN as usize).collect(),
        }))
    }

    /// What runs beside the active modules, by plugin; those without any are left out.
    pub async fn plugin_parts(&self) -> Result<BTreeMap<String, PluginParts>, StoreError> {
        let rows: Vec<Part> = sqlx::query_as(
            "select p.plugin, m.digest, m.version, length(m.bytes) as size,
                 wasaga.millis(m.created_at) as created_ms, p.plan, p.figures, p.started_ms
             from (
                 select plugin, undo_digest as digest, null::jsonb as plan, null::jsonb as figures,
                     null::bigint as started_ms
                 from wasaga.activations where undo_digest is not null
                 union all
                 select plugin, digest, wasaga.canary_plan(c), wasaga.canary_figures(c), wasaga.millis(started_at)
                 from wasaga.canaries c
             ) p join wasaga.modules m using (digest)",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut parts = BTreeMap::<_, PluginParts>::new();
        for Part { plugin, module, plan, figures, started_ms } in rows {
            let (part, module) = (parts.entry(plugin).or_default(), module.into());
            match (plan, figures) {
                (Some(plan), Some(figures)) => {
                    let started_at = at(started_ms.unwrap_or_default());
                    part.canary = Some(CanaryState { module, plan, figures, started_at });
                }
                _ => part.undo = Some(module),
            }
        }
        Ok(parts)
    }

    async fn history(&self, plugin: &PluginName) -> Result<Vec<HistoryEntry>, StoreError> {
        let entries: Vec<Entry> = sqlx::query_as(
            "select h.what, h.digest, m.version, h.previous, h.by, h.reason, h.forced, h.figures,
                 wasaga.millis(h.at) as at_ms
             from wasaga.activation_history h join wasaga.modules m on m.digest = h.digest
             where h.plugin = $1 order by h.id desc limit $2",
        )
        .bind(plugin.as_str())
        .bind(SHOWN)
        .fetch_all(&self.pool)
        .await?;
        Ok(entries.into_iter().map(HistoryEntry::from).collect())
    }

    /// Who was the last to make this module active, or its plugin's canary, and when, in a few words.
    pub(crate) async fn module_known(&self, digest: Digest) -> Result<Option<String>, StoreError> {
        let known: Option<(String, Option<String>, i64)> = sqlx::query_as(
            "select what, by, wasaga.millis(at) from wasaga.activation_history
             where digest = $1 and what <> 'pushed' order by id desc limit 1",
        )
        .bind(&digest.0[..])
        .fetch_optional(&self.pool)
        .await?;
        Ok(known.map(|(what, by, ms)| {
            let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
            format!("{what}{by} at {}", at(ms))
        }))
    }

    /// The module that a roll-back goes to: the one that was active before the active one, with those left out that
    /// were rolled back themselves.
    pub(crate) async fn module_before(
        &self,
        plugin: &PluginName,
    ) -> Result<Option<Digest>, StoreError> {
        let changes: Vec<(String, Vec<u8>)> = sqlx::query_as(
            "select what, digest from wasaga.activation_history
             where plugin = $1 and what in ('activated', 'rolled_back', 'canary_promoted') order by id desc limit $2",
        )
        .bind(plugin.as_str())
        .bind(LOOKS)
        .fetch_all(&self.pool)
        .await?;
        let mut active: Vec<Vec<u8>> = Vec::new();
        for (what, digest) in changes.into_iter().rev() {
            if what == "rolled_back" {
                let place = active.iter().rposition(|known| *known == digest);
                active.truncate(place.unwrap_or_default());
            }
            if active.last() != Some(&digest) {
                active.push(digest);
            }
        }
        let before = active.len().checked_sub(2).map(|place| active.swap_remove(place));
        Ok(before.and_then(|digest| digest.try_into().ok()).map(Digest))
    }
}

impl From<Entry> for HistoryEntry {
    fn from(entry: Entry) -> Self {
        Self {
            what: entry.what,
            digest: text(&entry.digest),
            version: entry.version,
            previous: entry.previous.as_deref().map(text),
            by: entry.by,
            reason: entry.reason,
            forced: entry.forced,
            figures: entry.figures,
            at: at(entry.at_ms),
        }
    }
}

impl From<Module> for ModuleState {
    fn from(module: Module) -> Self {
        Self {
            digest: text(&module.digest),
            version: module.version,
            size: module.size,
            created_at: at(module.created_ms),
        }
    }
}

fn text(digest: &[u8]) -> String {
    format!("sha256:{}", hex::encode(digest))
}

fn at(ms: i64) -> String {
    UnixMillis(ms).to_string()
}
