//! Where plugins are tried: the real plugin host, a clock that moves by hand, and a database where a plugin asks for one.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::oneshot;
use wasaga_domain::{
    catalog::Catalog,
    definition::Definition,
    ids::{Digest, PluginName},
    manifest::Manifest,
    ports::{
        CatalogSource as _, GuestTransaction, NewModule, StepCall, StepExecutor as _, StepReport,
        TaskCall, TaskExecutor as _, TaskReport,
    },
};
use wasaga_plugin_host::{Grant, Grants, Options, PluginHost, SecretSource};

use crate::{
    database::Database,
    hand::{ByHand, Hand},
    http::OtherHosts,
};

/// Why plugins can't be tried.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The component is refused as a host would refuse it.
    #[error("{0}")]
    Plugin(String),
    /// The server gives no database.
    #[error("the database: {0}")]
    Database(String),
}

/// Where plugins are tried. One thing happens on it at a time.
pub struct Stage {
    host: Arc<PluginHost>,
    components: Vec<Vec<u8>>,
    options: Options,
    config: BTreeMap<String, String>,
    guests: Arc<ByHand>,
    pub(crate) http: Arc<OtherHosts>,
    database: Option<Database>,
    /// In the order of the components.
    pub(crate) plugins: Vec<PluginName>,
}

impl Stage {
    /// Loads components under these options, but for the grants: all that they ask for is granted. The first one is the plugin
    /// under test; the others run steps of its sagas. Where one asks for SQL or the event store it gets a database of its own:
    /// on the Postgres of the url `server`, whose role may create databases, or on one that is started, and stopped by
    /// [`Stage::close`].
    pub async fn new(
        components: Vec<Vec<u8>>,
        options: Options,
        server: Option<&str>,
    ) -> Result<Self, StageError> {
        let guests = Arc::new(ByHand::default());
        let grants = Grants { grant_all: true, plugins: BTreeMap::new() };
        let http = Arc::new(OtherHosts::default());
        let options = Options { grants, http: Some(http.clone()), ..options };
        let (host, plugins) = load(&components, options.clone(), &guests).await?;
        let (config, database) = (BTreeMap::new(), None);
        let mut stage = Self { host, components, options, config, guests, http, database, plugins };
        if let Err(error) = stage.set_up(server).await {
            stage.close().await;
            return Err(error);
        }
        Ok(stage)
    }

    /// Makes the plugins' schemas, where one of them asks for a database.
    async fn set_up(&mut self, server: Option<&str>) -> Result<(), StageError> {
        let catalog = self.catalog();
        let manifests = self.plugins.iter().map(|name| catalog.plugins[name].manifest.as_ref());
        let modules: Vec<_> = self.components.iter().zip(manifests).map(module).collect();
        if !modules.iter().any(|module| module.sql || module.event_store) {
            return Ok(());
        }
        let database = Database::new(server).await.map_err(StageError::Database)?;
        self.guests.store.get_or_init(|| database.store().clone());
        let database = self.database.insert(database);
        for module in modules {
            database.migrate(module).await.map_err(StageError::Database)?;
        }
        Ok(())
    }

    /// The same plugins under another configuration.
    pub(crate) async fn configure(
        &mut self,
        config: &BTreeMap<String, String>,
    ) -> Result<(), StageError> {
        if self.config == *config {
            return Ok(());
        }
        let given =
            |(key, value): (&String, &String)| (key.clone(), SecretSource::Given(value.clone()));
        let secrets = config.iter().map(given).collect();
        let grant = Grant { config: config.clone(), secrets, ..Grant::default() };
        let plugins = self.plugins.iter().map(|name| (name.clone(), grant.clone())).collect();
        let grants = Grants { grant_all: true, plugins };
        let options = Options { grants, ..self.options.clone() };
        (self.host, _) = load(&self.components, options, &self.guests).await?;
        self.config = config.clone();
        Ok(())
    }

    /// Takes the stage's database away. A stage that is dropped without leaves it on a server that was named.
    pub async fn close(self) {
        if let Some(database) = self.database {
            database.drop().await;
        }
    }

    pub(crate) fn database(&self) -> Result<&Database, &'static str> {
        let none = "the scenario speaks of SQL, and no plugin asks for it";
        self.database.as_ref().ok_or(none)
    }

    pub(crate) fn clock(&self) -> &Hand {
        &self.guests.clock
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.host.catalog()
    }

    /// The plugin under test.
    pub fn plugin(&self) -> &PluginName {
        &self.plugins[0]
    }

    pub(crate) fn has(&self, plugin: &PluginName) -> bool {
        self.plugins.contains(plugin)
    }

    /// Whether the plugin's guests may change something elsewhere.
    pub(crate) fn reaches_out(&self, plugin: &PluginName) -> bool {
        let catalog = self.catalog();
        let plugin = catalog.plugins.get(plugin);
        plugin.is_some_and(|plugin| !plugin.manifest.capabilities.http_hosts.is_empty())
    }

    /// The definitions that the plugin under test brings.
    pub(crate) fn definitions(&self) -> Vec<Arc<Definition>> {
        let catalog = self.catalog();
        let own = catalog.definitions.values().map(|active| active.definition.clone());
        own.filter(|definition| definition.plugin == *self.plugin()).collect()
    }

    pub(crate) async fn step(&self, call: StepCall) -> StepReport {
        let (report, reported) = oneshot::channel();
        self.host.run(call, Box::new(move |ended| drop(report.send(ended))));
        reported.await.expect("the plugin host reports every call")
    }

    pub(crate) async fn task(&self, call: TaskCall) -> TaskReport {
        let (report, reported) = oneshot::channel();
        self.host.handle(call, Box::new(move |ended| drop(report.send(ended))));
        reported.await.expect("the plugin host reports every call")
    }

    /// Commits a guest's SQL, where there is any.
    pub(crate) async fn commit(
        &self,
        guest: Option<Box<dyn GuestTransaction>>,
    ) -> Result<(), String> {
        match (&self.database, guest) {
            (Some(database), Some(guest)) => database.commit(guest).await,
            _ => Ok(()),
        }
    }

    /// Empties all plugins' tables.
    pub(crate) async fn clear(&self) -> Result<(), String> {
        let Some(database) = &self.database else { return Ok(()) };
        for plugin in &self.plugins {
            database.clear(plugin).await?;
        }
        Ok(())
    }

    /// How much all plugins have stored, by table.
    pub(crate) async fn counts(&self) -> Result<BTreeMap<String, i64>, String> {
        let mut counts = BTreeMap::new();
        let Some(database) = &self.database else { return Ok(counts) };
        for plugin in &self.plugins {
            let tables = database.counts(plugin).await?;
            counts.extend(tables.into_iter().map(|(table, n)| (format!("{plugin}.{table}"), n)));
        }
        Ok(counts)
    }
}

/// As an activation stores it.
fn module((bytes, manifest): (&Vec<u8>, &Manifest)) -> NewModule {
    let (sql, event_store) = (manifest.capabilities.sql, manifest.capabilities.event_store);
    let (bytes, manifest) = (bytes.clone(), manifest.clone());
    NewModule { digest: Digest::of(&bytes), bytes, manifest, sql, event_store }
}

async fn load(
    components: &[Vec<u8>],
    options: Options,
    guests: &Arc<ByHand>,
) -> Result<(Arc<PluginHost>, Vec<PluginName>), StageError> {
    let host = PluginHost::new(options, None, Some(guests.clone()), guests.clock.clone())
        .map_err(|error| StageError::Plugin(error.to_string()))?;
    let mut plugins = Vec::new();
    for bytes in components {
        let name = host.install_local(bytes.clone()).await;
        plugins.push(name.map_err(|error| StageError::Plugin(error.to_string()))?);
    }
    Ok((host, plugins))
}
