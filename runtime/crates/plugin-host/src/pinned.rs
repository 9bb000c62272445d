//! Modules that are called though they are not the active ones: those of sagas that keep the code they started with,
//! and those that an operator chose for a step.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::OnceCell;
use wasaga_domain::{
    ids::{Digest, PluginName},
    outcome::{ErrorDetail, Failure},
    ports::ModuleStore,
};

use crate::{
    failure::unavailable,
    fetching::fetch,
    host::locked,
    loading::{Loaded, Loader},
};

/// So many are kept in memory; what is called beyond them is loaded again.
const KEPT: usize = 64;

/// A module's place, which is filled once.
type Place = Arc<OnceCell<Arc<Loaded>>>;

/// Loads and keeps them.
pub(crate) struct Pinned {
    loader: Arc<Loader>,
    modules: Option<Arc<dyn ModuleStore>>,
    places: Mutex<HashMap<Digest, Place>>,
}

impl Pinned {
    /// None yet.
    pub(crate) fn new(loader: Arc<Loader>, modules: Option<Arc<dyn ModuleStore>>) -> Self {
        Self { loader, modules, places: Mutex::default() }
    }

    /// The module of this digest, which must be one of `worker`; loads it where it is not here yet.
    pub(crate) async fn get(
        &self,
        worker: &PluginName,
        digest: Digest,
    ) -> Result<Arc<Loaded>, Failure> {
        let missing = |why: &dyn std::fmt::Display| {
            let what = format!("the step's own module {digest} of plugin {worker}: {why}");
            unavailable("module-missing", what)
        };
        let Some(modules) = &self.modules else {
            return Err(missing(&"this host has no database to load it from"));
        };
        let place = self.place(digest);
        let load = || fetch(&self.loader, modules.as_ref(), digest);
        let plugin = place.get_or_try_init(load).await.map_err(|error| missing(&error))?;
        if plugin.manifest.name != *worker {
            let what = format!(
                "module {digest} is plugin {}, and the step's worker is {worker}: retry it on a module of that",
                plugin.manifest.name
            );
            return Err(Failure::Permanent(ErrorDetail::new("other-plugin", what)));
        }
        Ok(plugin.clone())
    }

    fn place(&self, digest: Digest) -> Place {
        let mut places = locked(&self.places);
        if places.len() >= KEPT
            && !places.contains_key(&digest)
            && let Some(any) = places.keys().next().copied()
        {
            places.remove(&any);
        }
        places.entry(digest).or_default().clone()
    }
}
