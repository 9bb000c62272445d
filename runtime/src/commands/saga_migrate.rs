//! `wasaga saga migrate`: sagas in flight go on under another version of their definition.

use std::sync::Arc;

use anyhow::{anyhow, bail};
use clap::Args;
use wasaga_api::{MigrationView, Refusal};
use wasaga_domain::{
    catalog::Catalog,
    ids::SagaId,
    mail::{Migration, Verb},
    ports::CatalogSource,
    search::SagaFilter,
    state::Status,
};
use wasaga_engine::{definitions::StoredDefinitions, migration::refusals};
use wasaga_store::Store;

use super::{
    saga::{print, saga_id},
    saga_ask::Who,
};
use crate::config::Config;

/// How many sagas are asked in one transaction.
const BATCH: usize = 200;

#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// The definition's name
    definition: String,
    /// The version that they are to go on under
    #[arg(long, value_name = "VERSION")]
    to: u32,
    /// Only sagas of this version
    #[arg(long, value_name = "VERSION")]
    from: Option<u32>,
    /// Only this saga; may be repeated
    #[arg(long = "id", value_name = "ID", value_parser = saga_id)]
    ids: Vec<SagaId>,
    /// The new name of a step; may be repeated. Others keep theirs
    #[arg(long = "map", value_name = "OLD=NEW", value_parser = pair)]
    map: Vec<(String, String)>,
    /// Say what would be done, and ask nobody
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    who: Who,
}

/// Definitions come from the database alone.
struct NoPlugins;

impl CatalogSource for NoPlugins {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::default()
    }
}

impl Migrate {
    /// Asks those that can be moved; fails when there are others.
    pub(super) async fn send(
        self,
        config: &Config,
        store: &Store,
        json: bool,
    ) -> anyhow::Result<()> {
        let Self { definition, to, from, ids, map, dry_run, who } = self;
        let definitions =
            StoredDefinitions::new(Arc::new(NoPlugins), store.clone(), config.definitions.clone());
        let migration = Migration { to, map: map.into_iter().collect() };
        let verb = Verb::Migrate(migration.clone());
        let by = who.audit(verb.name());
        let filter = SagaFilter {
            definition: Some(definition),
            version: from,
            ids,
            statuses: Status::ALL.into_iter().filter(|status| !status.is_final()).collect(),
            ..SagaFilter::default()
        };
        let mut view = MigrationView { dry_run, ..MigrationView::default() };
        let mut after = None;
        loop {
            let page = store.sagas_search(&filter, after, BATCH).await?;
            let mut movable = Vec::new();
            for saga in page.sagas.into_iter().filter(|saga| saga.version != to) {
                view.matched += 1;
                let reasons =
                    refusals(&definitions, &saga, &migration).await.map_err(|why| anyhow!(why))?;
                if reasons.is_empty() {
                    movable.push(saga.id);
                } else {
                    let (saga_id, version) = (saga.id, saga.version);
                    view.refused.push(Refusal { saga_id, version, reasons });
                }
            }
            if !dry_run && !movable.is_empty() {
                view.asked += store.sagas_ask(&movable, &verb, &by).await?.len();
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        tell(&view, json)
    }
}

fn tell(view: &MigrationView, json: bool) -> anyhow::Result<()> {
    let MigrationView { matched, asked, refused, .. } = view;
    if json {
        print(view)?;
    } else {
        for Refusal { saga_id, version, reasons } in refused {
            println!("{saga_id} (version {version}): {}", reasons.join("; "));
        }
        println!("{matched} fit, {asked} asked, {} can't be moved", refused.len());
    }
    if refused.is_empty() {
        return Ok(());
    }
    bail!("{} of {matched} sagas can't be moved", refused.len())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (old, new) = text.split_once('=').ok_or("write it as OLD=NEW")?;
    Ok((old.to_owned(), new.to_owned()))
}
