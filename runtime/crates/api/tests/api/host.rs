//! A host without an engine: a real store, one definition, and a client that calls the routes without a port.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, Response},
};
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;
use wasaga_api::{
    ApiState, Ends, app,
    ports::{
        Check, DeadLetters, Messages, MessagesError, Plugins, Probe, Rejected, Sagas, SagasError,
        StartSaga, Started,
    },
};
use wasaga_domain::{
    catalog::{Active, Catalog, Plugin},
    clock::{Clock, SystemClock},
    dead_letter::{LetterFilter, LetterFlow, LetterVerb},
    definition::{Definition, Overrides},
    ids::{Digest, HostId, PluginName, SagaId},
    mail::{Audit, Migration, Verb},
    manifest::{Manifest, Trigger},
    message_search::MessageFilter,
    payload::Payload,
    ports::{CatalogSource, ModuleError, ModuleStore as _, NewModule},
    search::SagaFilter,
    start::NewSaga,
    state::Status,
    swap::{Change, Part, Swap, Swapped},
    value_reader::{Unread, ValueReader},
};
use wasaga_store::{
    Outbox as _, Store, StoreError,
    activation_history::{PluginParts, PluginState},
    dead_letter_edit::{Edited, LetterEdit},
    dead_letter_end::EndedLetter,
    dead_letter_read::Letter,
    dead_letter_search::{LetterPage, Order},
    emit::{EmitError, NewMessage},
    events_read::EventRow,
    mail::Posted,
    outbox_find::{FoundMessages, WholeMessage},
    publish_first::{First, Published},
    saga_read::{JournalRow, SagaRow},
    saga_search::{Cursor, FoundSaga, Page},
    saga_start,
    schedules::ScheduleRow,
    steps_needed::{TouchedCount, TouchedPage},
    testing::{self, TestDatabase},
};

/// The bound of a body in these tests.
pub const BODY_LIMIT: usize = 4096;

/// The host under test.
pub struct Host {
    pub app: Router,
    pub store: Store,
    pub broken: Arc<NullEngine>,
    pub ends: Arc<Ends>,
    pub stop: CancellationToken,
    pub database: TestDatabase,
}

/// An answer, taken apart.
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub allow: Option<String>,
    pub location: Option<String>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The problem's kind, after its status and media type were checked.
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.content_type, "application/problem+json", "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], status);
        problem
    }
}

impl Host {
    pub async fn start() -> Self {
        let database = testing::database().await;
        let store = database.store.clone();
        let engine = Arc::new(NullEngine {
            store: store.clone(),
            down: AtomicBool::new(false),
            asked_for: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let ends = Ends::new(engine.clone(), stop.clone());
        let app = app(ApiState {
            sagas: engine.clone(),
            messages: engine.clone(),
            letters: engine.clone(),
            values: Arc::new(OneCodec),
            ends: ends.clone(),
            plugins: Arc::new(OnePlugin(catalog(), store.clone())),
            probe: engine.clone(),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
            body_limit: BODY_LIMIT,
        });
        Self { app, store, broken: engine, ends, stop, database }
    }

    /// The answer to a request; it holds on to the routes alone.
    pub fn call(&self, request: Request<Body>) -> impl Future<Output = Answer> + Send + use<> {
        let app = self.app.clone();
        async move { answer(app.oneshot(request).await.expect("routes do not fail")).await }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Request::get(path).body(Body::empty()).expect("a path")).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_raw(path, "application/json", body.to_string()).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        let request = Request::patch(path).header("content-type", "application/json");
        self.call(request.body(body.to_string().into()).expect("a path")).await
    }

    pub async fn post_raw(&self, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path).header("content-type", kind);
        self.call(request.body(body.into()).expect("a path")).await
    }
}

async fn answer(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let header =
        |name: &str| parts.headers.get(name).map(|value| value.to_str().expect("text").to_owned());
    let (status, allow, location) = (parts.status.as_u16(), header("allow"), header("location"));
    let content_type = header("content-type").unwrap_or_default();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let text = String::from_utf8(body.to_vec()).expect("text");
    Answer { status, content_type, allow, location, text }
}

/// One plugin that runs here, and a store of modules: a component is its manifest.
struct OnePlugin(Arc<Catalog>, Store);

impl CatalogSource for OnePlugin {
    fn catalog(&self) -> Arc<Catalog> {
        self.0.clone()
    }
}

#[async_trait]
impl Plugins for OnePlugin {
    fn rejections(&self) -> Vec<Rejected> {
        vec![Rejected { source: "broken.wasm".into(), reason: "it is no component".into() }]
    }

    async fn swap(&self, component: Vec<u8>, swap: &Swap) -> Result<Swapped, SagasError> {
        let manifest = serde_json::from_slice(&component)
            .map_err(|error| SagasError::Refused(error.to_string()))?;
        let digest = Digest::of(&component);
        let module =
            NewModule { digest, bytes: component, manifest, sql: false, event_store: false };
        self.1.swap(module, swap).await.map_err(swap_failed)
    }

    async fn swap_kept(
        &self,
        _: &PluginName,
        digest: Digest,
        swap: &Swap,
    ) -> Result<Swapped, SagasError> {
        let component = self.1.module(digest).await.map_err(swap_failed)?;
        self.swap(component, swap).await
    }

    async fn roll_back(
        &self,
        plugin: &PluginName,
        by: Audit,
        force: bool,
    ) -> Result<Swapped, SagasError> {
        let before = self.1.before(plugin).await.map_err(swap_failed)?;
        let before = before.ok_or_else(|| SagasError::Refused("there is none".into()))?;
        let swap = Swap { force, ..Swap::new(Change::RolledBack, by) };
        self.swap_kept(plugin, before, &swap).await
    }

    async fn promote(
        &self,
        plugin: &PluginName,
        by: Audit,
        force: bool,
    ) -> Result<Swapped, SagasError> {
        let active = self.1.activations().await.map_err(swap_failed)?;
        let canary = active.into_iter().find_map(|active| active.canary);
        let canary = canary.ok_or_else(|| SagasError::Refused("there is none".into()))?;
        let swap = Swap { force, ..Swap::new(Change::CanaryPromoted, by) };
        self.swap_kept(plugin, canary.digest, &swap).await
    }

    async fn end(&self, plugin: &PluginName, part: Part, by: &Audit) -> Result<(), SagasError> {
        let ended = self.1.end(plugin, part, by).await.map_err(swap_failed)?;
        if ended { Ok(()) } else { Err(SagasError::Refused("there is none".into())) }
    }

    async fn plugin(&self, plugin: &PluginName) -> Result<Option<PluginState>, SagasError> {
        self.1.plugin_get(plugin).await.map_err(internal)
    }

    async fn parts(&self) -> Result<BTreeMap<String, PluginParts>, SagasError> {
        self.1.plugin_parts().await.map_err(internal)
    }

    async fn touched(
        &self,
        plugin: &PluginName,
        module: Option<Digest>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<TouchedCount>, TouchedPage), SagasError> {
        let counts = self.1.sagas_touched_count(plugin, module).await.map_err(internal)?;
        let page = self.1.sagas_touched(plugin, module, after, limit).await.map_err(internal)?;
        Ok((counts, page))
    }
}

fn swap_failed(error: ModuleError) -> SagasError {
    match error {
        ModuleError::Rejected(why) => SagasError::Refused(why),
        ModuleError::Unavailable(why) => SagasError::Internal(why),
    }
}

/// Of the topic `coded`, whose values are JSON behind an `x`; a `y` names a schema that does not come.
struct OneCodec;

#[async_trait]
impl ValueReader for OneCodec {
    fn read(&self, topic: &str, value: &[u8]) -> Option<Result<Bytes, Unread>> {
        (topic == "coded").then(|| match value.split_first() {
            Some((b'x', rest)) => Ok(Bytes::copy_from_slice(rest)),
            Some((b'y', _)) => Err(Unread::OnItsWay),
            _ => Err(Unread::Fault("it has no x".into())),
        })
    }

    async fn read_within(
        &self,
        topic: &str,
        value: &[u8],
        _: Duration,
    ) -> Option<Result<Bytes, Unread>> {
        self.read(topic, value)
    }
}

fn catalog() -> Arc<Catalog> {
    let step = json!({ "name": "reserve_inventory", "timeout_ms": 1000, "retry": { "never": {} } });
    let manifest: Manifest = serde_json::from_value(json!({
        "name": "order-saga", "version": "1.0.0", "steps": ["reserve_inventory"],
        "sagas": [{
            "name": "order", "version": 1, "steps": [step],
            "triggers": [{ "http": {
                "path": "/api/v1/orders", "key_name": "order_id", "message": "Order creation started",
            } }],
            "input_schema": {
                "type": "object",
                "required": ["customer_id", "items"],
                "properties": {
                    "customer_id": { "type": "string" },
                    "items": { "type": "array", "items": {
                        "type": "object", "properties": { "quantity": { "type": "integer" } },
                    } },
                },
            },
        }],
    }))
    .expect("the manifest fits");
    let saga = &manifest.sagas[0];
    let definition = Definition::new(saga, &manifest.name, &Overrides::default()).expect("it fits");
    let Trigger::Http(http) = saga.triggers[0].clone() else { panic!("an http trigger") };
    let active = Active {
        definition: Arc::new(definition),
        http: vec![http],
        topics: Vec::new(),
        schedule: None,
    };
    let (name, digest) = (manifest.name.clone(), Digest::of(b"order"));
    let plugin = Plugin { digest, manifest: Arc::new(manifest), lifecycle: false };
    Arc::new(Catalog {
        plugins: [(name, plugin)].into(),
        definitions: [("order".into(), active)].into(),
    })
}

/// Starts sagas and posts mail; nothing ever runs.
pub struct NullEngine {
    store: Store,
    pub down: AtomicBool,
    /// The sagas of each question for ends.
    pub asked_for: Mutex<Vec<Vec<SagaId>>>,
}

fn internal(error: StoreError) -> SagasError {
    SagasError::Internal(error.to_string())
}

fn posted(posted: Posted) -> Result<Status, SagasError> {
    match posted {
        Posted::Accepted(status) => Ok(status),
        Posted::Final(status) => Err(SagasError::Final(status)),
        Posted::PastPivot(status) => Err(SagasError::PastPivot(status)),
        Posted::NoModule(module) => Err(SagasError::Refused(format!("no module {module}"))),
        Posted::NotFound => Err(SagasError::NotFound),
    }
}

#[async_trait]
impl Sagas for NullEngine {
    async fn start(&self, saga: StartSaga) -> Result<Started, SagasError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(SagasError::Unavailable("the database is away".into()));
        }
        let StartSaga { definition, business_key, input, traceparent } = saga;
        // Another UUID for each call, or a start would be taken for the repeat of one.
        let new = NewSaga::of(&definition, business_key, input, Uuid::new_v4(), SystemClock.now());
        let (id, new) = (new.id, NewSaga { traceparent, ..new });
        let started = self.store.sagas_start(HostId(1), &[new]).await.map_err(internal)?;
        let (created, status, same_input) = match started[0] {
            saga_start::Started::New => (true, Status::Pending, true),
            saga_start::Started::Existing { status, same_input } => (false, status, same_input),
        };
        Ok(Started { saga_id: id, created, status, same_input })
    }

    async fn ask(&self, id: SagaId, verb: &Verb, by: &Audit) -> Result<Status, SagasError> {
        posted(self.store.saga_ask(id, verb, by).await.map_err(internal)?)
    }

    async fn ask_all(&self, ids: &[SagaId], verb: &Verb, by: &Audit) -> Result<usize, SagasError> {
        Ok(self.store.sagas_ask(ids, verb, by).await.map_err(internal)?.len())
    }

    /// The saga of the business key "stuck" can't be moved, and nobody has version 9.
    async fn refusals(
        &self,
        saga: &FoundSaga,
        migration: &Migration,
    ) -> Result<Vec<String>, SagasError> {
        if migration.to == 9 {
            return Err(SagasError::Refused("there is no version 9".into()));
        }
        let stuck = saga.business_key.as_deref() == Some("stuck");
        Ok(stuck.then(|| "its step is done".to_owned()).into_iter().collect())
    }

    async fn signal(
        &self,
        id: SagaId,
        name: &str,
        payload: &Payload,
    ) -> Result<Status, SagasError> {
        posted(self.store.saga_signal(id, name, payload).await.map_err(internal)?)
    }

    async fn saga(&self, id: SagaId) -> Result<SagaRow, SagasError> {
        if let Some(saga) = self.store.saga_get(id).await.map_err(internal)? {
            return Ok(saga);
        }
        let tombstone = self.store.tombstone_get(id).await.map_err(internal)?;
        Err(tombstone.map_or(SagasError::NotFound, SagasError::Removed))
    }

    async fn journal(&self, id: SagaId) -> Result<Vec<JournalRow>, SagasError> {
        self.store.journal_list(id).await.map_err(internal)
    }

    async fn search(
        &self,
        filter: &SagaFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, SagasError> {
        self.store.sagas_search(filter, after, limit).await.map_err(internal)
    }

    async fn events(
        &self,
        plugin: &str,
        stream: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<EventRow>, SagasError> {
        self.store.events_page(plugin, stream, after, limit).await.map_err(internal)
    }

    async fn schedules(&self) -> Result<Vec<ScheduleRow>, SagasError> {
        self.store.schedules_list().await.map_err(internal)
    }

    async fn settled(&self, ids: &[SagaId]) -> Result<Vec<SagaId>, SagasError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(SagasError::Unavailable("the database is away".into()));
        }
        self.asked_for.lock().unwrap().push(ids.to_vec());
        self.store.sagas_settled(ids).await.map_err(internal)
    }
}

fn emit_failed(error: EmitError) -> MessagesError {
    match error {
        EmitError::Invalid(why) => MessagesError::Refused(why),
        EmitError::KeyTaken(why) => MessagesError::KeyTaken(why),
        other => MessagesError::Internal(other.to_string()),
    }
}

/// Its broker takes everything, as offset 7, unless it is down.
#[async_trait]
impl Messages for NullEngine {
    async fn emit(&self, messages: &[NewMessage]) -> Result<Vec<i64>, MessagesError> {
        self.store.emit(messages).await.map_err(emit_failed)
    }

    async fn publish(&self, message: &NewMessage) -> Result<Published, MessagesError> {
        let failed = |error: StoreError| MessagesError::Internal(error.to_string());
        let unpublished = match self.store.emit_first(message).await.map_err(emit_failed)? {
            First::Publish(unpublished) => unpublished,
            First::Stored(id) => return Ok(Published::Stored { id }),
            First::Known(id) => return Ok(Published::Known { id }),
        };
        let id = unpublished.task().id;
        if self.down.load(Ordering::Relaxed) {
            unpublished.stored().await.map_err(failed)?;
            return Ok(Published::Stored { id });
        }
        unpublished.published().await.map_err(failed)?;
        Ok(Published::Published { id, partition: 0, offset: 7 })
    }

    async fn find(
        &self,
        filter: &MessageFilter,
        after: Option<i64>,
        limit: usize,
    ) -> Result<FoundMessages, MessagesError> {
        let found = self.store.find(filter, after, limit).await;
        found.map_err(|error| MessagesError::Internal(error.to_string()))
    }

    async fn message(&self, id: i64) -> Result<Option<WholeMessage>, MessagesError> {
        let message = self.store.message(id).await;
        message.map_err(|error| MessagesError::Internal(error.to_string()))
    }
}

#[async_trait]
impl DeadLetters for NullEngine {
    async fn search(
        &self,
        flow: LetterFlow,
        filter: &LetterFilter,
        order: Order,
        after: Option<i64>,
        limit: usize,
    ) -> Result<LetterPage, SagasError> {
        self.store.dead_letters_search(flow, filter, order, after, limit).await.map_err(internal)
    }

    async fn letter(&self, flow: LetterFlow, id: i64) -> Result<Option<Letter>, SagasError> {
        self.store.dead_letter_get(flow, id).await.map_err(internal)
    }

    async fn edit(
        &self,
        flow: LetterFlow,
        id: i64,
        edit: &LetterEdit,
        by: &Audit,
    ) -> Result<Edited, SagasError> {
        self.store.dead_letter_edit(flow, id, edit, by).await.map_err(internal)
    }

    async fn end(
        &self,
        flow: LetterFlow,
        ids: &[i64],
        verb: LetterVerb,
        by: &Audit,
    ) -> Result<Vec<EndedLetter>, SagasError> {
        self.store.dead_letters_end(flow, ids, verb, by).await.map_err(internal)
    }
}

#[async_trait]
impl Probe for NullEngine {
    async fn check(&self) -> Vec<Check> {
        let down = self.down.load(Ordering::Relaxed);
        let reason = down.then(|| "connection refused".to_owned());
        vec![
            Check { name: "database", ready: self.store.ping().await.is_ok(), reason: None },
            Check { name: "broker", ready: !down, reason },
        ]
    }
}
