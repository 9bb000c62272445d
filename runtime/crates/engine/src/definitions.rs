//! Definitions by name and version: the active ones, and the old ones that sagas in flight were started with.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use tokio::sync::RwLock;
use wasaga_domain::{
    catalog::Plugin,
    definition::{Definition, Overrides},
    ids::PluginName,
    ports::CatalogSource,
};
use wasaga_store::Store;

/// Finds a definition, whichever version a saga was started with.
#[async_trait]
pub trait DefinitionSource: Send + Sync + 'static {
    /// The definition, or a sentence that says why there is none.
    async fn definition(&self, name: &str, version: u32) -> Result<Arc<Definition>, String>;

    /// Whether the plugin hears of its sagas' lives, as of now.
    fn hears(&self, _plugin: &PluginName) -> bool {
        false
    }

    /// Whether the plugin's guests may change something outside the host's transaction.
    fn reaches_out(&self, _plugin: &PluginName) -> bool {
        false
    }
}

/// Definitions of the catalog and, for old versions, of the database.
pub struct StoredDefinitions {
    catalog: Arc<dyn CatalogSource>,
    store: Store,
    overrides: Overrides,
    old: RwLock<HashMap<(String, u32), Arc<Definition>>>,
}

impl StoredDefinitions {
    /// The operator's overrides are applied to old versions too.
    pub fn new(catalog: Arc<dyn CatalogSource>, store: Store, overrides: Overrides) -> Self {
        Self { catalog, store, overrides, old: RwLock::default() }
    }
}

#[async_trait]
impl DefinitionSource for StoredDefinitions {
    async fn definition(&self, name: &str, version: u32) -> Result<Arc<Definition>, String> {
        if let Some(active) = self.catalog.catalog().definitions.get(name)
            && active.definition.version == version
        {
            return Ok(Arc::clone(&active.definition));
        }
        let key = (name.to_owned(), version);
        if let Some(old) = self.old.read().await.get(&key) {
            return Ok(Arc::clone(old));
        }
        let stored = self.store.definition_get(name, version).await.map_err(|e| e.to_string())?;
        let (saga, plugin, module) = stored.ok_or_else(|| {
            format!("definition {name} version {version} is not in wasaga.definitions")
        })?;
        let definition = Definition::new(&saga, &plugin, &self.overrides);
        let own = |worker: &PluginName| (*worker == plugin).then_some(module);
        let definition = Arc::new(definition.map_err(|bad| bad.to_string())?.pinned(own));
        self.old.write().await.insert(key, Arc::clone(&definition));
        Ok(definition)
    }

    fn hears(&self, plugin: &PluginName) -> bool {
        self.catalog.catalog().plugins.get(plugin).is_some_and(|plugin| plugin.lifecycle)
    }

    /// One that is not here may.
    fn reaches_out(&self, plugin: &PluginName) -> bool {
        let catalog = self.catalog.catalog();
        let asks = |plugin: &Plugin| !plugin.manifest.capabilities.http_hosts.is_empty();
        catalog.plugins.get(plugin).is_none_or(asks)
    }
}
