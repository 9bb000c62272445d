//! Changes of what all hosts run: a module is checked off the runtime's threads, and goes through the database, whose word
//! this host then takes up as every other one does.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use wasaga_domain::{
    ids::{Digest, PluginName},
    mail::Audit,
    ports::{ModuleError, ModuleStore, NewModule},
    swap::{Change, Part, Swap, Swapped},
};

use crate::{
    fetching::off_the_runtime,
    host::{PluginHost, locked},
    loading::{Loaded, Unfit},
};

/// How often a host tells what it has counted of canaries' calls.
const COUNT_EVERY: Duration = Duration::from_secs(1);

impl PluginHost {
    /// Checks a module and makes it active on all hosts; without a database, on this one.
    pub async fn activate(&self, bytes: Vec<u8>) -> Result<PluginName, ModuleError> {
        if self.modules.is_none() {
            return self.install_local(bytes).await;
        }
        let by = Audit::because("activated by hand");
        Ok(self.swap(bytes, &Swap::new(Change::Activated, by)).await?.plugin)
    }

    /// Checks a module, keeps it in the database and makes the change on all hosts.
    pub async fn swap(&self, bytes: Vec<u8>, swap: &Swap) -> Result<Swapped, ModuleError> {
        let modules = self.database()?;
        let signature = swap.signature.as_deref();
        self.loader.trusted.check(&bytes, signature).map_err(ModuleError::Rejected)?;
        let (plugin, bytes) = self.check(bytes).await?;
        if let Some(signature) = signature {
            modules.sign(plugin.digest, signature).await?;
        }
        self.hand_over(modules, plugin, bytes, swap).await
    }

    /// The same with a module that the database has.
    pub async fn swap_kept(
        &self,
        plugin: &PluginName,
        digest: Digest,
        swap: &Swap,
    ) -> Result<Swapped, ModuleError> {
        let modules = self.database()?;
        let known = self.calls.active.load().running(plugin).cloned();
        let module = match self.loaded(modules, plugin, digest, known.as_ref()).await {
            Err(ModuleError::Rejected(why)) => {
                return Err(self.rejected(why, Some(plugin)).await);
            }
            module => module?,
        };
        self.check_beside(&module)?;
        self.hand_over(modules, module, Vec::new(), swap).await
    }

    /// Goes back to the module that was active before the active one.
    pub async fn roll_back(
        &self,
        plugin: &PluginName,
        by: Audit,
        force: bool,
    ) -> Result<Swapped, ModuleError> {
        let modules = self.database()?;
        let activations = modules.activations().await?;
        let active = activations.iter().find(|activation| activation.plugin == *plugin);
        let (Some(active), Some(before)) = (active, modules.before(plugin).await?) else {
            return Err(ModuleError::Rejected(format!(
                "plugin {plugin} has no module before the active one to go back to: activate one by its digest"
            )));
        };
        let over = Some(active.digest);
        let swap = Swap { force, over, ..Swap::new(Change::RolledBack, by) };
        self.swap_kept(plugin, before, &swap).await
    }

    /// Makes the plugin's canary its active module.
    pub async fn promote(
        &self,
        plugin: &PluginName,
        by: Audit,
        force: bool,
    ) -> Result<Swapped, ModuleError> {
        let activations = self.database()?.activations().await?;
        let active = activations.into_iter().find(|activation| activation.plugin == *plugin);
        let Some(canary) = active.and_then(|active| active.canary) else {
            return Err(ModuleError::Rejected(format!(
                "plugin {plugin} has no canary to promote: it may have been ended, look at its history"
            )));
        };
        let swap = Swap { force, ..Swap::new(Change::CanaryPromoted, by) };
        self.swap_kept(plugin, canary.digest, &swap).await
    }

    /// Ends a part of a plugin's activation.
    pub async fn end(
        &self,
        plugin: &PluginName,
        part: Part,
        by: &Audit,
    ) -> Result<(), ModuleError> {
        if !self.database()?.end(plugin, part, by).await? {
            let what = match part {
                Part::Canary => "no canary",
                Part::Undo => "no module that undoes in the active one's place",
            };
            return Err(ModuleError::Rejected(format!(
                "plugin {plugin} has {what}: it may have been ended, look at its history"
            )));
        }
        self.follow().await;
        Ok(())
    }

    /// Why a file that this process sees for the first time is not to be made active: its module was before, and another
    /// one is now, which is a later word than the file.
    pub(crate) async fn held(&self, digest: Digest) -> Result<Option<String>, ModuleError> {
        let Some(modules) = &self.modules else { return Ok(None) };
        Ok(modules.known(digest).await?.map(|known| {
            format!(
                "its module was {known}, and is not the active one now: a file that lay here before this host started does \
                 not take that back; activate {digest} by `wasaga plugins activate`, or put another file here"
            )
        }))
    }

    /// Tells the database what was counted of canaries' calls, until it is stopped.
    pub(crate) async fn count_canaries(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(COUNT_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.tell_counts().await;
        }
    }

    /// Tells it once.
    pub async fn tell_counts(&self) {
        let Some(modules) = &self.modules else { return };
        let active = self.calls.active.load_full();
        for (plugin, running) in active.all() {
            let Some(canary) = &running.canary else { continue };
            let Some(counts) = canary.take() else { continue };
            match modules.count(plugin, canary.id, counts).await {
                Ok(None) => {}
                Ok(Some(why)) => {
                    let digest = canary.module.digest;
                    tracing::warn!(%plugin, %digest, why, "canary rolled back");
                    metrics::counter!("wasaga_canaries_rolled_back_total", "plugin" => plugin.to_string())
                        .increment(1);
                    self.follow().await;
                }
                Err(error) => {
                    tracing::debug!(%plugin, %error, "a canary's calls were not counted");
                    canary.give_back(counts);
                }
            }
        }
    }

    pub(crate) async fn check(
        &self,
        bytes: Vec<u8>,
    ) -> Result<(Arc<Loaded>, Vec<u8>), ModuleError> {
        let loader = self.loader.clone();
        let checked = off_the_runtime(move || {
            let digest = Digest::of(&bytes);
            let component = loader.compile(digest, &bytes)?;
            Ok((loader.load(digest, &component), bytes))
        });
        let (plugin, bytes) = checked.await?;
        match plugin {
            Ok(plugin) => {
                self.check_beside(&plugin)?;
                Ok((Arc::new(plugin), bytes))
            }
            Err(Unfit { plugin, reason }) => Err(self.rejected(reason, plugin.as_ref()).await),
        }
    }

    async fn hand_over(
        &self,
        modules: &dyn ModuleStore,
        plugin: Arc<Loaded>,
        bytes: Vec<u8>,
        swap: &Swap,
    ) -> Result<Swapped, ModuleError> {
        let (digest, manifest) = (plugin.digest, plugin.manifest.as_ref().clone());
        let sql = plugin.access.any(|access| access.sql);
        let event_store = plugin.access.any(|access| access.event_store);
        locked(&self.checked).insert(digest, plugin);
        let module = NewModule { digest, bytes, manifest, sql, event_store };
        let swapped = modules.swap(module, swap).await;
        if swapped.is_ok() {
            self.follow().await;
        }
        locked(&self.checked).remove(&digest);
        swapped
    }

    /// Takes up a change at once; what cannot be read now is taken up with the next look.
    async fn follow(&self) {
        if let Err(error) = self.sync().await {
            tracing::warn!(%error, "a change of plugins is taken up later");
        }
    }

    /// A rejection, with the sagas in flight that need the plugin.
    async fn rejected(&self, reason: String, plugin: Option<&PluginName>) -> ModuleError {
        let needed = match (&self.modules, plugin) {
            (Some(modules), Some(plugin)) => modules.needed(plugin).await.ok().flatten(),
            _ => None,
        };
        ModuleError::Rejected(match needed {
            Some(needed) => format!("{reason}; {needed} need this plugin"),
            None => reason,
        })
    }

    fn database(&self) -> Result<&dyn ModuleStore, ModuleError> {
        let missing =
            || ModuleError::Rejected("this host keeps no modules: it has no database".into());
        self.modules.as_deref().ok_or_else(missing)
    }
}
