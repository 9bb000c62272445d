//! `wasaga plugins replay`: what a module would have done in the place of those that ran.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde_json::json;
use wasaga_domain::{
    attempt::Direction,
    ids::{Digest, PluginName, SagaId},
    ports::ModuleStore as _,
    search::SagaFilter,
};
use wasaga_engine::definitions::{DefinitionSource as _, StoredDefinitions};
use wasaga_harness::{
    Shadow,
    replay::{Attempted, Replay as Replaying, Replayed},
};
use wasaga_plugin_host::Options;
use wasaga_store::{Store, saga_search::Cursor};

use super::{
    saga::{print, saga_id},
    swaps::signature_of,
};
use crate::{config::Config, host::startup};

/// Sagas that a page of the search brings.
const PAGE: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// A .wasm file, or a module that the database has, as sha256:…
    module: String,
    /// The saga whose calls are made; may be repeated
    #[arg(long, value_name = "SAGA", value_parser = saga_id, conflicts_with_all = ["definition", "last"])]
    saga: Vec<SagaId>,
    /// Only sagas of this definition
    #[arg(long, value_name = "NAME")]
    definition: Option<String>,
    /// So many of each definition's sagas, the newest ones
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    last: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let store = startup::database(&config.database).await?;
        let bytes = self.bytes(config, &store).await?;
        let (then, candidate) = (shadow(config, &store).await?, shadow(config, &store).await?);
        let (plugin, digest) =
            candidate.install(bytes).await.with_context(|| self.module.clone())?;
        let definitions =
            StoredDefinitions::new(then.catalog(), store.clone(), config.definitions.clone());
        let replaying = Replaying { then: &then, candidate: &candidate, plugin: &plugin };

        let (mut sagas, mut all) = (0_u64, Replayed::default());
        for id in self.sagas(&store, &plugin).await? {
            let Some(past) = store.saga_past(id).await? else {
                all.left_out.push(format!("saga {id}: there is none, or it has been archived"));
                continue;
            };
            match definitions.definition(&past.definition, past.version).await {
                Ok(definition) => {
                    let Replayed { attempts, left_out } = replaying.saga(&past, definition).await;
                    sagas += u64::from(!attempts.is_empty());
                    all.attempts.extend(attempts);
                    all.left_out.extend(left_out);
                }
                Err(why) => all.left_out.push(format!("saga {id}: {why}")),
            }
        }
        self.tell(&plugin, digest, sagas, &all)
    }

    /// The module, if whoever has to has signed it.
    async fn bytes(&self, config: &Config, store: &Store) -> anyhow::Result<Vec<u8>> {
        let (bytes, signature) = if self.module.starts_with("sha256:") {
            let digest: Digest = self.module.parse()?;
            (store.module(digest).await?, store.signature(digest).await?)
        } else {
            let file = Path::new(&self.module);
            let cannot = || format!("{} can't be read", self.module);
            (fs::read(file).with_context(cannot)?, signature_of(file)?)
        };
        let trusted = config.plugins.trusted().map_err(|why| anyhow!(why))?;
        let checked = trusted.check(&bytes, signature.as_deref());
        checked.map_err(|why| anyhow!("{}: rejected: {why}", self.module))?;
        Ok(bytes)
    }

    /// Those that were asked for, or the newest ones of each definition.
    async fn sagas(&self, store: &Store, plugin: &PluginName) -> anyhow::Result<Vec<SagaId>> {
        if !self.saga.is_empty() {
            return Ok(self.saga.clone());
        }
        let mut names = store.definitions_of_worker(plugin).await?;
        if let Some(only) = &self.definition {
            names.retain(|name| name == only);
            if names.is_empty() {
                bail!("no definition {only} with steps of plugin {plugin} is in the database");
            }
        }
        let mut sagas = Vec::new();
        for name in names {
            sagas.extend(newest(store, name, self.last as usize).await?);
        }
        Ok(sagas)
    }

    fn tell(
        &self,
        plugin: &PluginName,
        digest: Digest,
        sagas: u64,
        all: &Replayed,
    ) -> anyhow::Result<()> {
        let Replayed { attempts, left_out } = all;
        let differing: Vec<_> =
            attempts.iter().filter(|attempt| !attempt.differences.is_empty()).collect();
        let drifted = attempts.iter().filter(|attempt| !attempt.drifted.is_empty()).count();
        if self.json {
            print(&json!({
                "plugin": plugin, "digest": digest, "sagas": sagas, "attempts": attempts.len(),
                "differing": differing, "drifted": drifted, "left_out": left_out,
            }))?;
        } else {
            for attempt in &differing {
                show(attempt);
            }
            for why in left_out {
                println!("left out: {why}");
            }
            println!(
                "{plugin} ({digest}): {} attempts of {sagas} sagas, {} differ, {} left out",
                attempts.len(),
                differing.len(),
                left_out.len()
            );
            if drifted > 0 {
                println!(
                    "{drifted} attempts are not repeated by the module that ran, either: what it read has changed"
                );
            }
        }
        if attempts.is_empty() {
            bail!("nothing was compared: no saga has calls of plugin {plugin}");
        }
        if !differing.is_empty() {
            bail!("{} of {} attempts differ", differing.len(), attempts.len());
        }
        Ok(())
    }
}

async fn newest(store: &Store, definition: String, most: usize) -> anyhow::Result<Vec<SagaId>> {
    let filter = SagaFilter { definition: Some(definition), ..SagaFilter::default() };
    let (mut sagas, mut after): (Vec<SagaId>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let page = store.sagas_search(&filter, after, PAGE.min(most - sagas.len())).await?;
        sagas.extend(page.sagas.iter().map(|saga| saga.id));
        match page.next {
            Some(next) if sagas.len() < most => after = Some(next),
            _ => return Ok(sagas),
        }
    }
}

/// Only a cache directory that is named: the default one is another user's than the host's, perhaps.
async fn shadow(config: &Config, store: &Store) -> anyhow::Result<Shadow> {
    let cache_dir = config.plugins.cache_dir.clone().filter(|named| !named.as_os_str().is_empty());
    let grants = config.plugins.granted()?;
    let reuse = BTreeMap::new();
    let options =
        Options { cache_dir, grants, reuse, ..config.plugins.options(&config.definitions) };
    Ok(Shadow::new(store, options).await?)
}

fn show(attempt: &Attempted) {
    let Attempted { saga_id, entry, step, direction, attempt, differences, .. } = attempt;
    let undo = if *direction == Direction::Undo { "undo of " } else { "" };
    println!("saga {saga_id}: entry {entry}: {undo}{step}, attempt {attempt}");
    for difference in differences {
        println!("  {}: was {}, is {}", difference.what, difference.was, difference.is);
    }
}
