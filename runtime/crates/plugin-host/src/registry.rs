//! The active plugins, as of one moment: replaced whole, so that a call sees one state of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use wasaga_domain::{
    catalog::{Catalog, Plugin},
    clock::UnixMillis,
    definition::Definition,
    ids::{Digest, PluginName},
};

use crate::running::Running;

/// The active plugins.
#[derive(Default)]
pub(crate) struct Active {
    plugins: HashMap<PluginName, Running>,
    /// The same, as the engine, the API and the consumer see it.
    pub catalog: Arc<Catalog>,
}

impl Active {
    /// A plugin's modules by its name.
    pub(crate) fn running(&self, name: &PluginName) -> Option<&Running> {
        self.plugins.get(name)
    }

    /// Every plugin's modules.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&PluginName, &Running)> {
        self.plugins.iter()
    }

    /// Whether a module is active.
    pub(crate) fn runs(&self, digest: Digest) -> bool {
        self.plugins.values().any(|running| running.active.digest == digest)
    }

    /// The same plugins with this one in the place of the one of its name. What starts sagas, and what is subscribed to, is
    /// what the active modules say.
    pub(crate) fn with(&self, running: Running) -> Self {
        let mut plugins = self.plugins.clone();
        plugins.insert(running.active.manifest.name.clone(), running);
        let mut catalog = Catalog { plugins: BTreeMap::new(), definitions: BTreeMap::new() };
        for (name, Running { active: plugin, .. }) in &plugins {
            let described = Plugin {
                digest: plugin.digest,
                manifest: plugin.manifest.clone(),
                lifecycle: plugin.exports.lifecycle.is_some(),
            };
            catalog.plugins.insert(name.clone(), described);
            let module =
                |worker: &PluginName| plugins.get(worker).map(|running| running.active.digest);
            for active in &plugin.definitions {
                let mut active = active.clone();
                if active.definition.pin_workers {
                    let definition = Definition::clone(&active.definition);
                    active.definition = Arc::new(definition.pinned(module));
                }
                catalog.definitions.insert(active.definition.name.clone(), active);
            }
        }
        Self { plugins, catalog: Arc::new(catalog) }
    }
}

/// A module that was not taken, for the operator's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Where it came from: a file's path, or `plugin NAME of the database`.
    pub source: String,
    /// The module.
    pub digest: Digest,
    /// A sentence: what, where and how to mend it.
    pub reason: String,
    /// When it was rejected.
    pub at: UnixMillis,
}
