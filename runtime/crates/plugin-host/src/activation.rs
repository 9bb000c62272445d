//! How a module becomes active: checked off the runtime's threads, through the database where there is one, and then
//! swapped in whole. Calls that run keep the module they began with.

use std::sync::Arc;

use wasaga_domain::{
    ids::{Digest, PluginName},
    ports::{Activation, CatalogSource as _, ModuleError, ModuleStore, NewModule},
};

use crate::{
    checks,
    fetching::{fetch, off_the_runtime},
    host::{PluginHost, locked},
    loading::Loaded,
};

impl PluginHost {
    /// Checks a module and makes it active on this host alone: for benches and the plugins' own tests.
    pub async fn install_local(&self, bytes: Vec<u8>) -> Result<PluginName, ModuleError> {
        let swapping = self.followed.lock().await;
        let (plugin, _) = self.check(bytes).await?;
        let name = plugin.manifest.name.clone();
        self.swap_in(plugin);
        drop(swapping);
        Ok(name)
    }

    /// Checks a module and makes it active on all hosts, through the database.
    pub async fn activate(&self, bytes: Vec<u8>) -> Result<PluginName, ModuleError> {
        let Some(modules) = &self.modules else {
            return self.install_local(bytes).await;
        };
        let (plugin, bytes) = self.check(bytes).await?;
        let manifest = plugin.manifest.as_ref().clone();
        let (name, digest) = (manifest.name.clone(), plugin.digest);
        locked(&self.checked).insert(digest, plugin.clone());
        let sql = plugin.access.any(|access| access.sql);
        let event_store = plugin.access.any(|access| access.event_store);
        let activated =
            modules.activate(NewModule { digest, bytes, manifest, sql, event_store }).await;
        let followed = match activated {
            Ok(_) => self.sync().await,
            Err(error) => Err(error),
        };
        locked(&self.checked).remove(&digest);
        followed.map(|()| name)
    }

    async fn check(&self, bytes: Vec<u8>) -> Result<(Arc<Loaded>, Vec<u8>), ModuleError> {
        let loader = self.loader.clone();
        let ready = off_the_runtime(move || {
            let digest = Digest::of(&bytes);
            let component = loader.compile(digest, &bytes)?;
            Ok((Arc::new(loader.load(digest, &component)?), bytes))
        });
        let (plugin, bytes) = ready.await?;
        self.check_beside(&plugin)?;
        Ok((plugin, bytes))
    }

    fn check_beside(&self, plugin: &Loaded) -> Result<(), ModuleError> {
        checks::beside(&plugin.manifest, &self.catalog()).map_err(ModuleError::Rejected)
    }

    fn swap_in(&self, plugin: Arc<Loaded>) {
        let Loaded { digest, manifest, .. } = plugin.as_ref();
        tracing::info!(plugin = %manifest.name, version = manifest.version, %digest, "plugin active");
        self.calls.active.store(Arc::new(self.calls.active.load().with(plugin)));
    }

    /// Takes up what the database says is active, where it changed. A module that does not load here is listed, its
    /// predecessor goes on, and it is tried again when some activation changes.
    pub async fn sync(&self) -> Result<(), ModuleError> {
        let Some(modules) = &self.modules else {
            return Ok(());
        };
        let mut followed = self.followed.lock().await;
        let mut activations = modules.activations().await?;
        activations.sort_by_key(|activation| activation.generation);
        if *followed == activations {
            return Ok(());
        }
        for activation in &activations {
            let source = format!("plugin {} of the database", activation.plugin);
            match self.take_up(modules.as_ref(), activation).await {
                Ok(()) => self.accept(&source),
                Err(ModuleError::Rejected(reason)) => {
                    self.reject(source, activation.digest, reason);
                }
                Err(unavailable) => return Err(unavailable),
            }
        }
        *followed = activations;
        Ok(())
    }

    async fn take_up(
        &self,
        modules: &dyn ModuleStore,
        activation: &Activation,
    ) -> Result<(), ModuleError> {
        let Activation { plugin: name, digest, .. } = activation;
        let active = self.calls.active.load_full();
        if active.plugin(name).is_some_and(|plugin| plugin.digest == *digest) {
            return Ok(());
        }
        let checked = locked(&self.checked).get(digest).cloned();
        let plugin = match checked {
            Some(plugin) => plugin,
            None => fetch(&self.loader, modules, *digest).await?,
        };
        if plugin.manifest.name != *name {
            return Err(ModuleError::Rejected(format!(
                "module {digest} is plugin {}, and the database has it as {name}: activate the \
                 right one",
                plugin.manifest.name
            )));
        }
        self.check_beside(&plugin)?;
        self.swap_in(plugin);
        Ok(())
    }
}
