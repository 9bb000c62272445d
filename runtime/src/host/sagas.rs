//! The engine, the store and the plugins, as the API asks for them. Until the host has started they are not there,
//! and it says so.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use wasaga_api::ports::{Sagas, SagasError, StartSaga, Started};
use wasaga_domain::{
    catalog::Catalog,
    ids::SagaId,
    mail::{Audit, Migration, Verb},
    payload::Payload,
    ports::CatalogSource,
    search::SagaFilter,
    state::Status,
};
use wasaga_engine::driver::{Engine, StartError, StartRequest, VerbError};
use wasaga_plugin_host::PluginHost;
use wasaga_store::{
    Store, StoreError,
    events_read::EventRow,
    saga_read::{JournalRow, SagaRow},
    saga_search::{Cursor, FoundSaga, Page},
    schedules::ScheduleRow,
};

/// What of the host has started.
pub(super) struct HostSagas {
    pub(super) store: Store,
    engine: OnceLock<Engine>,
    plugins: OnceLock<Arc<PluginHost>>,
}

impl HostSagas {
    pub(super) fn new(store: Store) -> Self {
        Self { store, engine: OnceLock::new(), plugins: OnceLock::new() }
    }

    /// The engine works. Told once.
    pub(super) fn set_engine(&self, engine: Engine) {
        let _ = self.engine.set(engine);
    }

    /// The plugins are loaded. Told once.
    pub(super) fn set_plugins(&self, plugins: Arc<PluginHost>) {
        let _ = self.plugins.set(plugins);
    }

    /// Whether sagas can be started.
    pub(super) fn runs(&self) -> bool {
        self.engine.get().is_some()
    }

    /// Whether plugins are loaded.
    pub(super) fn has_plugins(&self) -> bool {
        self.plugins.get().is_some()
    }

    pub(super) fn plugins(&self) -> Option<&Arc<PluginHost>> {
        self.plugins.get()
    }

    pub(super) fn engine(&self) -> Result<&Engine, SagasError> {
        let starting = || {
            SagasError::Unavailable("the host is starting: /readyz tells what it waits for".into())
        };
        self.engine.get().ok_or_else(starting)
    }
}

#[async_trait]
impl Sagas for HostSagas {
    async fn start(&self, saga: StartSaga) -> Result<Started, SagasError> {
        let StartSaga { definition, business_key, input, traceparent } = saga;
        let request = StartRequest { definition, business_key, input, traceparent };
        match self.engine()?.start(request).await {
            Ok(started) => Ok(Started {
                saga_id: started.saga_id,
                created: started.created,
                status: started.status,
                same_input: true,
            }),
            // The engine compares bytes; whether the same was meant, the API finds out.
            Err(StartError::Conflict(saga_id, status)) => {
                Ok(Started { saga_id, created: false, status, same_input: false })
            }
            Err(error @ StartError::Refused(_)) => Err(SagasError::Refused(error.to_string())),
            Err(error @ StartError::Unavailable(_)) => {
                Err(SagasError::Unavailable(error.to_string()))
            }
        }
    }

    async fn ask(&self, id: SagaId, verb: &Verb, by: &Audit) -> Result<Status, SagasError> {
        self.engine()?.ask(id, verb, by).await.map_err(verb_failed)
    }

    /// Those that this host holds see it with its next sweep.
    async fn ask_all(&self, ids: &[SagaId], verb: &Verb, by: &Audit) -> Result<usize, SagasError> {
        self.engine()?;
        Ok(self.store.sagas_ask(ids, verb, by).await.map_err(read_failed)?.len())
    }

    async fn refusals(
        &self,
        saga: &FoundSaga,
        migration: &Migration,
    ) -> Result<Vec<String>, SagasError> {
        self.engine()?.refusals(saga, migration).await.map_err(SagasError::Refused)
    }

    async fn signal(
        &self,
        id: SagaId,
        name: &str,
        payload: &Payload,
    ) -> Result<Status, SagasError> {
        self.engine()?.signal(id, name, payload).await.map_err(verb_failed)
    }

    async fn saga(&self, id: SagaId) -> Result<SagaRow, SagasError> {
        self.engine()?;
        if let Some(saga) = self.store.saga_get(id).await.map_err(read_failed)? {
            return Ok(saga);
        }
        let tombstone = self.store.tombstone_get(id).await.map_err(read_failed)?;
        Err(tombstone.map_or(SagasError::NotFound, SagasError::Removed))
    }

    async fn journal(&self, id: SagaId) -> Result<Vec<JournalRow>, SagasError> {
        self.store.journal_list(id).await.map_err(read_failed)
    }

    async fn search(
        &self,
        filter: &SagaFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, SagasError> {
        self.engine()?;
        self.store.sagas_search(filter, after, limit).await.map_err(read_failed)
    }

    async fn settled(&self, ids: &[SagaId]) -> Result<Vec<SagaId>, SagasError> {
        self.store.sagas_settled(ids).await.map_err(read_failed)
    }

    async fn events(
        &self,
        plugin: &str,
        stream: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<EventRow>, SagasError> {
        self.engine()?;
        self.store.events_page(plugin, stream, after, limit).await.map_err(read_failed)
    }

    async fn schedules(&self) -> Result<Vec<ScheduleRow>, SagasError> {
        self.engine()?;
        self.store.schedules_list().await.map_err(read_failed)
    }
}

fn verb_failed(error: VerbError) -> SagasError {
    match error {
        VerbError::NotFound(_) => SagasError::NotFound,
        VerbError::Final(_, status) => SagasError::Final(status),
        VerbError::PastPivot(_, status) => SagasError::PastPivot(status),
        error @ VerbError::NoModule(_) => SagasError::Refused(error.to_string()),
        VerbError::Unavailable(why) => unavailable(&why),
    }
}

pub(super) fn read_failed(error: StoreError) -> SagasError {
    if error.is_transient() {
        unavailable(&error.to_string())
    } else {
        SagasError::Internal(error.to_string())
    }
}

/// The driver's own words are for the log.
fn unavailable(why: &str) -> SagasError {
    tracing::warn!("a request found no database: {why}");
    SagasError::Unavailable("the database does not answer: try again".into())
}

impl CatalogSource for HostSagas {
    fn catalog(&self) -> Arc<Catalog> {
        self.plugins().map_or_else(Arc::default, |plugins| plugins.catalog())
    }
}
