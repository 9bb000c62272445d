//! A plugin host whose calls leave nothing behind.

use std::sync::Arc;

use tokio::sync::oneshot;
use wasaga_domain::{
    clock::UnixMillis,
    ids::{Digest, PluginName},
    ports::{CatalogSource, ModuleStore, StepCall, StepExecutor as _, StepReport},
};
use wasaga_plugin_host::{Options, PluginHost};
use wasaga_store::Store;

use crate::{
    StageError,
    hand::{ByHand, Hand},
    http::OtherHosts,
    scenario::Exchange,
};

/// Runs modules of a database without a trace: a guest's SQL is rolled back, its requests are answered from what was
/// recorded, its clock stands, and its chance is its attempt's. One call at a time.
pub struct Shadow {
    host: Arc<PluginHost>,
    clock: Arc<Hand>,
    pub(crate) http: Arc<OtherHosts>,
}

impl Shadow {
    /// With the modules that are active in this database, under these grants.
    pub async fn new(store: &Store, options: Options) -> Result<Self, StageError> {
        let (clock, http) = (Arc::new(Hand::default()), Arc::new(OtherHosts::default()));
        let options = Options { http: Some(http.clone()), replays: true, ..options };
        let guests = Arc::new(ByHand { store: store.clone().into(), clock: clock.clone() });
        let modules: Arc<dyn ModuleStore> = Arc::new(store.clone());
        let host = PluginHost::new(options, Some(modules), Some(guests), clock.clone())
            .map_err(|error| StageError::Plugin(error.to_string()))?;
        host.sync().await.map_err(|error| StageError::Database(error.to_string()))?;
        Ok(Self { host, clock, http })
    }

    /// Has a module take all calls of its plugin, here alone; answers with the plugin and the module.
    pub async fn install(&self, bytes: Vec<u8>) -> Result<(PluginName, Digest), StageError> {
        let digest = Digest::of(&bytes);
        let plugin = self.host.install_local(bytes).await;
        plugin.map(|plugin| (plugin, digest)).map_err(|error| StageError::Plugin(error.to_string()))
    }

    /// What runs here.
    pub fn catalog(&self) -> Arc<dyn CatalogSource> {
        self.host.clone()
    }

    /// Makes a call at this time, to hosts that answer so.
    pub(crate) async fn call(
        &self,
        call: StepCall,
        at: UnixMillis,
        answers: &[Exchange],
    ) -> StepReport {
        self.clock.set(at);
        self.http.play(answers);
        let (report, reported) = oneshot::channel();
        self.host.run(call, Box::new(move |ended| drop(report.send(ended))));
        reported.await.expect("the plugin host reports every call")
    }
}
