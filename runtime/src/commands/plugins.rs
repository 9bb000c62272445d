//! `wasaga plugins check`.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use serde_json::json;
use wasaga_domain::{
    clock::{SystemClock, UnixMillis},
    ids::PluginName,
    ports::{CatalogSource, GuestDatabase, GuestTransaction},
    sql::SqlError,
};
use wasaga_plugin_host::{Options, PluginHost};

use crate::config::Config;

/// Stands in for the database, which a check does not need: `describe` asks for nothing of it.
struct NoDatabase;

#[async_trait]
impl GuestDatabase for NoDatabase {
    async fn begin(
        &self,
        _: &PluginName,
        _: UnixMillis,
    ) -> Result<Box<dyn GuestTransaction>, SqlError> {
        Err(SqlError::new("08003", "a plugin that is only checked has no database"))
    }
}

/// Loads the component as a run would, on this configuration's grants, and prints what it is.
pub(crate) async fn check(config: &Config, file: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
    let options = Options { cache_dir: None, ..config.plugins.options(&config.definitions) };
    let host = PluginHost::new(options, None, Some(Arc::new(NoDatabase)), Arc::new(SystemClock))?;
    let name = host
        .install_local(bytes)
        .await
        .map_err(|error| anyhow!("{}: rejected: {error}", file.display()))?;
    let catalog = host.catalog();
    let plugin = catalog.plugins.get(&name).context("the plugin is not in its own catalog")?;
    let grant = config.plugins.grants.get(&name);
    let printed = json!({
        "digest": plugin.digest.to_string(),
        "manifest": *plugin.manifest,
        "grant_all": config.plugins.grant_all,
        "grant": grant.map(|grant| json!({
            "sql": grant.sql,
            "event_store": grant.event_store,
            "topics": grant.topics,
            "config": grant.config.keys().collect::<Vec<_>>(),
        })),
    });
    println!("{}", serde_json::to_string_pretty(&printed)?);
    Ok(())
}
