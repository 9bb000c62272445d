//! `wasaga plugins check` and `lint`.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context, anyhow, bail};
use async_trait::async_trait;
use serde_json::{Value, json};
use wasaga_domain::{
    catalog::Plugin,
    clock::{SystemClock, UnixMillis},
    ids::PluginName,
    ports::{CatalogSource, GuestDatabase, GuestHttp, GuestTransaction},
    sql::SqlError,
};
use wasaga_plugin_host::{Grant, Grants, Level, Options, PluginHost};

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

/// Loads the component as a run would, under these grants. Only a cache directory that is named gets its code: the default
/// one is another user's than the host's, perhaps.
pub(super) async fn load(config: &Config, file: &Path, grants: Grants) -> anyhow::Result<Plugin> {
    let bytes = fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
    let cache_dir = config.plugins.cache_dir.clone().filter(|named| !named.as_os_str().is_empty());
    let http: Arc<dyn GuestHttp> = Arc::new(config.plugins.egress()?);
    let options = config.plugins.options(&config.definitions);
    let options = Options { cache_dir, grants, http: Some(http), ..options };
    let host = PluginHost::new(options, None, Some(Arc::new(NoDatabase)), Arc::new(SystemClock))?;
    let name = host
        .install_local(bytes)
        .await
        .map_err(|error| anyhow!("{}: rejected: {error}", file.display()))?;
    let plugin = host.catalog().plugins.get(&name).cloned();
    plugin.context("the plugin is not in its own catalog")
}

/// Checks the component on this configuration's grants, and prints what it is.
pub(crate) async fn check(config: &Config, file: &Path) -> anyhow::Result<()> {
    signature(config, file)?;
    let plugin = load(config, file, config.plugins.all_grants()).await?;
    let grant = config.plugins.grants.get(&plugin.manifest.name);
    let printed = json!({
        "digest": plugin.digest.to_string(),
        "manifest": *plugin.manifest,
        "grant_all": config.plugins.grant_all,
        "grant": grant.map(shown),
    });
    println!("{}", serde_json::to_string_pretty(&printed)?);
    Ok(())
}

/// A grant without the values of its configuration and its secrets.
fn shown(grant: &Grant) -> Value {
    json!({
        "sql": grant.sql,
        "event_store": grant.event_store,
        "http_hosts": grant.http_hosts,
        "http_private": grant.http_private,
        "topics": grant.topics,
        "config": grant.config.keys().collect::<Vec<_>>(),
        "secrets": grant.secrets.keys().collect::<Vec<_>>(),
        "compensate": grant.compensate.as_deref().map(shown),
    })
}

/// Checks the component's signature, where this configuration asks for one.
fn signature(config: &Config, file: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
    let signature = fs::read_to_string(format!("{}.minisig", file.display())).ok();
    let trusted = config.plugins.trusted().map_err(|why| anyhow!(why))?;
    let checked = trusted.check(&bytes, signature.as_deref());
    checked.map_err(|why| anyhow!("{}: rejected: {why}", file.display()))
}

/// Prints what is doubtful about the component; fails where it would not run as it reads, or where anything is
/// doubtful and `strict`.
pub(crate) async fn lint(
    config: &Config,
    file: &Path,
    strict: bool,
    as_json: bool,
) -> anyhow::Result<()> {
    // What is not granted is a finding among others.
    let grants = Grants { grant_all: true, ..config.plugins.all_grants() };
    let plugin = load(config, file, grants).await?;
    let grants = config.plugins.all_grants();
    let findings = wasaga_plugin_host::lint(&plugin.manifest, &config.definitions, &grants);
    if as_json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        for finding in &findings {
            println!("{finding}");
        }
    }
    let errors = findings.iter().filter(|finding| finding.level == Level::Error).count();
    let warnings = findings.len() - errors;
    if errors > 0 || (strict && warnings > 0) {
        bail!("{}: {errors} errors, {warnings} warnings", file.display());
    }
    Ok(())
}
