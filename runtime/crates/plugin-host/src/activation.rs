//! How a module becomes active here: what the database says is taken up in whole. Calls that run keep the module they began
//! with.

use std::sync::Arc;

use wasaga_domain::{
    ids::{Digest, PluginName},
    ports::{Activation, CatalogSource as _, ModuleError, ModuleStore},
};

use crate::{
    checks,
    fetching::fetch,
    host::{PluginHost, locked},
    loading::Loaded,
    running::{Canary, Running},
};

impl PluginHost {
    /// Checks a module and makes it active on this host alone: for benches and the plugins' own tests.
    pub async fn install_local(&self, bytes: Vec<u8>) -> Result<PluginName, ModuleError> {
        let swapping = self.followed.lock().await;
        let (plugin, _) = self.check(bytes).await?;
        let name = plugin.manifest.name.clone();
        self.swap_in(Running::alone(plugin));
        drop(swapping);
        Ok(name)
    }

    pub(crate) fn check_beside(&self, plugin: &Loaded) -> Result<(), ModuleError> {
        checks::beside(&plugin.manifest, &self.catalog()).map_err(ModuleError::Rejected)
    }

    fn swap_in(&self, running: Running) {
        let Running { active, undo, canary } = &running;
        let Loaded { digest, manifest, .. } = active.as_ref();
        let undo = undo.as_ref().map(|module| module.digest.to_string());
        let canary = canary.as_ref().map(|canary| canary.module.digest.to_string());
        let version = &manifest.version;
        tracing::info!(plugin = %manifest.name, version, %digest, undo, canary, "plugin active");
        self.calls.active.store(Arc::new(self.calls.active.load().with(running)));
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
        let known = self.calls.active.load().running(name).cloned();
        if known.as_ref().is_some_and(|running| running.is(activation)) {
            return Ok(());
        }
        let known = known.as_ref();
        let active = self.loaded(modules, name, *digest, known).await?;
        if known.is_none_or(|running| running.active.digest != *digest) {
            self.check_beside(&active)?;
        }
        let undo = self.beside(modules, name, activation.undo, known, "undo").await?;
        let canary = activation.canary.as_ref();
        let module = canary.map(|canary| canary.digest);
        let module = self.beside(modules, name, module, known, "canary").await?;
        let canary = canary.zip(module).map(|(canary, module)| {
            let kept = known.and_then(|running| running.canary.clone());
            let kept = kept.filter(|kept| kept.id == canary.id);
            kept.unwrap_or_else(|| Arc::new(Canary::new(canary.id, canary.percent, module)))
        });
        self.swap_in(Running { active, undo, canary });
        Ok(())
    }

    /// A module that runs beside the active one, where there is one. One that does not load here is listed, and the active
    /// one does its work.
    async fn beside(
        &self,
        modules: &dyn ModuleStore,
        name: &PluginName,
        digest: Option<Digest>,
        known: Option<&Running>,
        part: &str,
    ) -> Result<Option<Arc<Loaded>>, ModuleError> {
        let source = format!("plugin {name} of the database ({part})");
        let Some(digest) = digest else {
            self.accept(&source);
            return Ok(None);
        };
        match self.loaded(modules, name, digest, known).await {
            Ok(module) => {
                self.accept(&source);
                Ok(Some(module))
            }
            Err(ModuleError::Rejected(reason)) => {
                self.reject(source, digest, reason);
                Ok(None)
            }
            Err(unavailable) => Err(unavailable),
        }
    }

    /// A module of this plugin: one that runs already, one that was just checked, or one out of the database.
    pub(crate) async fn loaded(
        &self,
        modules: &dyn ModuleStore,
        name: &PluginName,
        digest: Digest,
        known: Option<&Running>,
    ) -> Result<Arc<Loaded>, ModuleError> {
        let checked = locked(&self.checked).get(&digest).cloned();
        let known = known.and_then(|running| running.module(digest)).cloned();
        let module = match known.or(checked) {
            Some(module) => module,
            None => fetch(&self.loader, modules, digest).await?,
        };
        if module.manifest.name != *name {
            return Err(ModuleError::Rejected(format!(
                "module {digest} is plugin {}, and the database has it as {name}: activate the \
                 right one",
                module.manifest.name
            )));
        }
        Ok(module)
    }
}
