//! The plugins, as the API asks for them and changes them. Until they are loaded the host says so.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use wasaga_api::ports::{Plugins, Rejected, SagasError};
use wasaga_domain::{
    ids::{Digest, PluginName},
    mail::Audit,
    ports::ModuleError,
    swap::{Part, Swap, Swapped},
};
use wasaga_plugin_host::{PluginHost, Rejection};
use wasaga_store::{
    activation_history::{PluginParts, PluginState},
    saga_search::Cursor,
    steps_needed::{TouchedCount, TouchedPage},
};

use super::sagas::{HostSagas, read_failed};

impl HostSagas {
    fn loaded(&self) -> Result<&Arc<PluginHost>, SagasError> {
        let starting = || {
            SagasError::Unavailable("the host is starting: /readyz tells what it waits for".into())
        };
        self.plugins().ok_or_else(starting)
    }
}

#[async_trait]
impl Plugins for HostSagas {
    fn rejections(&self) -> Vec<Rejected> {
        let rejections = self.plugins().map(|plugins| plugins.rejections()).unwrap_or_default();
        let rejected = |Rejection { source, reason, .. }: Rejection| Rejected { source, reason };
        rejections.into_iter().map(rejected).collect()
    }

    async fn swap(&self, component: Vec<u8>, swap: &Swap) -> Result<Swapped, SagasError> {
        self.loaded()?.swap(component, swap).await.map_err(swap_failed)
    }

    async fn swap_kept(
        &self,
        plugin: &PluginName,
        digest: Digest,
        swap: &Swap,
    ) -> Result<Swapped, SagasError> {
        self.loaded()?.swap_kept(plugin, digest, swap).await.map_err(swap_failed)
    }

    async fn roll_back(
        &self,
        plugin: &PluginName,
        by: Audit,
        force: bool,
    ) -> Result<Swapped, SagasError> {
        self.loaded()?.roll_back(plugin, by, force).await.map_err(swap_failed)
    }

    async fn promote(
        &self,
        plugin: &PluginName,
        by: Audit,
        force: bool,
    ) -> Result<Swapped, SagasError> {
        self.loaded()?.promote(plugin, by, force).await.map_err(swap_failed)
    }

    async fn end(&self, plugin: &PluginName, part: Part, by: &Audit) -> Result<(), SagasError> {
        self.loaded()?.end(plugin, part, by).await.map_err(swap_failed)
    }

    async fn plugin(&self, plugin: &PluginName) -> Result<Option<PluginState>, SagasError> {
        self.loaded()?;
        self.store.plugin_get(plugin).await.map_err(read_failed)
    }

    async fn parts(&self) -> Result<BTreeMap<String, PluginParts>, SagasError> {
        if self.plugins().is_none() {
            return Ok(BTreeMap::new());
        }
        self.store.plugin_parts().await.map_err(read_failed)
    }

    async fn touched(
        &self,
        plugin: &PluginName,
        module: Option<Digest>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<TouchedCount>, TouchedPage), SagasError> {
        self.loaded()?;
        let counts = self.store.sagas_touched_count(plugin, module).await.map_err(read_failed)?;
        let page = self.store.sagas_touched(plugin, module, after, limit).await;
        Ok((counts, page.map_err(read_failed)?))
    }
}

fn swap_failed(error: ModuleError) -> SagasError {
    match error {
        ModuleError::Rejected(why) => SagasError::Refused(why),
        ModuleError::Unavailable(why) => {
            tracing::warn!("a change of plugins found no database: {why}");
            SagasError::Unavailable("the database does not answer: try again".into())
        }
    }
}
