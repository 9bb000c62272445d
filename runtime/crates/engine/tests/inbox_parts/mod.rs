//! A database with records in it, hosts on it, and the plugin they call.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

mod codecs;
mod cuts;
mod early;
mod flows;
mod halves;
mod interruptions;
mod limits;
mod order;

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};
use wasaga_domain::{
    catalog::{Catalog, Plugin},
    clock::{SystemClock, UnixMillis},
    ids::{Digest, HostId, PluginName},
    manifest::{Capabilities, Locator, Manifest, Migration, Subscription},
    message::{Message, Outgoing},
    outcome::{Effect, Failure},
    ports::{
        CatalogSource, GuestDatabase, GuestTransaction, ModuleStore, NewModule, Report, TaskCall,
        TaskExecutor, TaskReport,
    },
    retry::RetryPolicy,
    sql::SqlValue,
};
use wasaga_engine::inbox::{Inbox, InboxHandle, InboxOptions, InboxParts};
use wasaga_store::{
    Store, StoreOptions, headers,
    task_in_insert::{Move, NewTaskIn},
    testing::{TestDatabase, database},
};

use crate::proxy::Proxy;

/// The plugin's own table; the note `clash` conflicts when its transaction is to be committed.
const NOTES: &str = "create table notes (note text);
    create function clash() returns trigger language plpgsql as $$ begin
        raise exception 'try again' using errcode = '40001';
    end $$;
    create constraint trigger clash after insert on notes deferrable initially deferred
        for each row when (new.note = 'clash') execute function clash()";

pub struct World {
    db: TestDatabase,
}

impl World {
    pub async fn new() -> Self {
        Self { db: database().await }
    }

    /// The plugin has a table of its own.
    pub async fn with_notes() -> Self {
        let world = Self::new().await;
        let mut manifest = manifest(&[]);
        manifest.migrations =
            vec![Migration { version: 1, name: "notes".into(), up: NOTES.into() }];
        let module = NewModule {
            digest: Digest::of(b"x"),
            bytes: b"x".to_vec(),
            manifest,
            sql: true,
            event_store: false,
        };
        world.db.store.activate(module).await.unwrap();
        world
    }

    pub fn store(&self) -> Store {
        self.db.store.clone()
    }

    pub fn url(&self) -> &str {
        &self.db.url
    }

    /// The same database, behind a proxy.
    pub fn store_behind(&self, proxy: &Proxy) -> Store {
        Store::new(StoreOptions::new(proxy.url(&self.db.url))).unwrap()
    }

    pub async fn run(&self, statements: &str) {
        self.db.run(statements).await;
    }

    pub async fn record(&self, topic: &str, offset: i64, key: Option<&str>, value: &str) {
        let expected = (offset > 0).then_some(offset);
        let step = Move { topic: topic.into(), partition: 0, expected, next: offset + 1 };
        let record = NewTaskIn {
            lane: key.map_or(0, |key| key.bytes().map(i16::from).sum::<i16>() % 16),
            topic: topic.into(),
            partition: 0,
            offset,
            key: key.map(|key| key.as_bytes().to_vec()),
            headers: headers::to_json(&[]),
            value: Some(value.as_bytes().to_vec()),
            message_id: None,
            produced_at: None,
            refused: None,
        };
        assert_eq!(
            self.db.store.task_in_insert("cluster", &[step], &[record]).await.unwrap().made,
            [true]
        );
    }

    pub async fn waiting_saga(&self, topic: &str, correlation: &str) {
        let waits = format!(
            "insert into wasaga.sagas (id, definition, version, nonce, input_type, input, epoch, status, state)
             values ('6f1f6b1c-0c59-4c4b-8d6b-1c1f0a3b9e55', 'd', 1, 1, 't', '', 1, 'waiting', '{{}}');
             insert into wasaga.waits (topic, correlation, saga_id, step)
             values ('{topic}', '{correlation}', '6f1f6b1c-0c59-4c4b-8d6b-1c1f0a3b9e55', 0)"
        );
        self.run(&waits).await;
    }

    /// Waits until a query says true.
    pub async fn until(&self, query: &str) {
        let begun = Instant::now();
        loop {
            let is_so = self.db.texts(&format!("select ({query})::text")).await;
            if is_so == [Some("true".into())] {
                return;
            }
            if begun.elapsed() > Duration::from_secs(20) {
                let tasks =
                    self.db.texts("select task_in::text from wasaga.task_in order by id").await;
                panic!("it never came true: {query}\n{tasks:#?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What the first plugin takes part in.
fn manifest(more: &[&str]) -> Manifest {
    let hears = |topic: &str| Subscription { topic: topic.into(), correlation: None };
    let mut subscriptions = vec![
        hears("commands"),
        Subscription { topic: "replies".into(), correlation: Some(Locator::Key) },
        Subscription {
            topic: "coded.replies".into(),
            correlation: Some(Locator::JsonPointer("/correlation".into())),
        },
    ];
    subscriptions.extend(more.iter().map(|topic| hears(topic)));
    Manifest {
        name: "worker".parse().unwrap(),
        version: "1.0.0".into(),
        sagas: vec![],
        steps: vec![],
        subscriptions,
        out_topics: vec!["outgoing".into(), "lost".into()],
        dead_in_topics: vec!["sick".into()],
        dead_out_topics: vec!["lost".into()],
        migrations: vec![],
        capabilities: Capabilities::default(),
    }
}

pub fn send(topic: &str) -> Effect {
    let message = Message {
        topic: topic.into(),
        key: None,
        headers: vec![],
        value: Some(Bytes::from_static(b"v")),
    };
    Effect::Send(Outgoing { message, rollback: None })
}

struct Plugins(Mutex<Arc<Catalog>>);

impl Plugins {
    fn catalog(manifests: impl IntoIterator<Item = Manifest>) -> Arc<Catalog> {
        let plugins = manifests.into_iter().map(|manifest| {
            let name = manifest.name.clone();
            let manifest = Arc::new(manifest);
            (name, Plugin { digest: Digest::of(b"x"), manifest, lifecycle: false })
        });
        let plugins = plugins.collect();
        let definitions = [("coded".into(), codecs::active())].into();
        Arc::new(Catalog { plugins, definitions })
    }
}

impl CatalogSource for Plugins {
    fn catalog(&self) -> Arc<Catalog> {
        self.0.lock().unwrap().clone()
    }
}

pub type Outcome = Result<Vec<Effect>, Failure>;
type Handler = Box<dyn Fn(&TaskCall) -> Outcome + Send>;
type Transaction = Pin<Box<dyn Future<Output = Box<dyn GuestTransaction>> + Send>>;
type Sql = Arc<dyn Fn(PluginName, UnixMillis, String) -> Transaction + Send + Sync>;

/// Does, for each record, what the test says for its value.
#[derive(Default)]
pub struct FakePlugin {
    handlers: Mutex<HashMap<String, Handler>>,
    blocked: Mutex<HashMap<String, oneshot::Receiver<()>>>,
    calls: Mutex<Vec<TaskCall>>,
    sql: Mutex<Option<Sql>>,
    gate: Mutex<Option<limits::Gate>>,
}

fn value_of(call: &TaskCall) -> String {
    String::from_utf8(call.message.value.clone().unwrap().to_vec()).unwrap()
}

impl FakePlugin {
    pub fn on(&self, value: &str, handler: impl Fn(&TaskCall) -> Outcome + Send + 'static) {
        self.handlers.lock().unwrap().insert(value.into(), Box::new(handler));
    }

    pub fn with_sql(
        &self,
        sql: impl Fn(PluginName, UnixMillis, String) -> Transaction + Send + Sync + 'static,
    ) {
        *self.sql.lock().unwrap() = Some(Arc::new(sql));
    }

    /// Each call notes its record's value in the plugin's own table.
    pub fn with_notes(&self, store: &Store) {
        let store = store.clone();
        self.with_sql(move |plugin, deadline, value| {
            let store = store.clone();
            Box::pin(async move {
                let mut transaction = store.begin(&plugin, deadline).await.unwrap();
                let insert = "insert into notes (note) values ($1)";
                transaction.execute(insert, &[SqlValue::Text(value)]).await.unwrap();
                transaction
            })
        });
    }

    pub fn block(&self, value: &str) -> oneshot::Sender<()> {
        let (release, blocked) = oneshot::channel();
        self.blocked.lock().unwrap().insert(value.into(), blocked);
        release
    }

    pub fn calls(&self) -> Vec<TaskCall> {
        self.calls.lock().unwrap().clone()
    }

    pub fn offsets_of(&self, key: &str) -> Vec<i64> {
        let calls = self.calls();
        let of_key =
            calls.iter().filter(|call| call.message.key.as_deref() == Some(key.as_bytes()));
        of_key
            .map(|call| call.idempotency_key.rsplit('/').next().unwrap().parse().unwrap())
            .collect()
    }

    pub async fn called(&self, value: &str, times: usize) {
        let begun = Instant::now();
        while self.calls().iter().filter(|call| value_of(call) == value).count() < times {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{value} was not called {times} times"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl TaskExecutor for FakePlugin {
    fn handle(&self, call: TaskCall, report: Report<TaskReport>) {
        let value = value_of(&call);
        let outcome = match self.handlers.lock().unwrap().get(&value) {
            Some(handler) => handler(&call),
            None => Ok(vec![send("done")]),
        };
        let blocked = self.blocked.lock().unwrap().remove(&value);
        let sql = self.sql.lock().unwrap().clone();
        let gate = self.gate.lock().unwrap().clone();
        self.calls.lock().unwrap().push(call.clone());
        tokio::spawn(async move {
            if let Some(gate) = gate {
                gate.pass(&call).await;
            }
            if let Some(blocked) = blocked {
                blocked.await.expect("the test releases it");
            }
            let transaction = match sql {
                Some(sql) => Some(sql(call.plugin, call.deadline, value).await),
                None => None,
            };
            let took = Duration::from_millis(1);
            report(TaskReport { outcome, digest: Some(Digest::of(b"x")), transaction, took });
        });
    }
}

pub struct Host {
    pub plugin: Arc<FakePlugin>,
    pub values: Arc<codecs::FakeCodec>,
    pub stored: Arc<Notify>,
    sagas: Arc<Notify>,
    plugins: Arc<Plugins>,
    handle: InboxHandle,
    store: Store,
    id: HostId,
    _lease: watch::Sender<Option<HostId>>,
}

impl Host {
    pub async fn start(world: &World) -> Self {
        Self::start_on(Store::new(StoreOptions::new(world.db.url.clone())).unwrap()).await
    }

    pub async fn start_on(store: Store) -> Self {
        Self::start_with(store, |_| {}).await
    }

    /// With options of the test's own.
    pub async fn start_with(store: Store, set: impl FnOnce(&mut InboxOptions)) -> Self {
        let id = store.host_register("test", "1", Duration::from_mins(1)).await.unwrap();
        let (lease, host) = watch::channel(Some(id));
        let plugin = Arc::new(FakePlugin::default());
        let values = Arc::new(codecs::FakeCodec::default());
        let plugins = Arc::new(Plugins(Mutex::new(Plugins::catalog([manifest(&[])]))));
        let (stored, sagas) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let parts = InboxParts {
            store: store.clone(),
            catalog: plugins.clone(),
            executor: plugin.clone(),
            values: values.clone(),
            clock: Arc::new(SystemClock),
            host,
            stored: stored.clone(),
            sagas: sagas.clone(),
            outbox: Arc::new(Notify::new()),
        };
        let mut options =
            InboxOptions { poll: Duration::from_millis(50), ..InboxOptions::default() };
        let retry = RetryPolicy::Fixed { delay_ms: 20, max_attempts: Some(4) };
        for limits in [
            &mut options.r#in,
            &mut options.handle_out,
            &mut options.dead_in,
            &mut options.dead_out,
        ] {
            limits.retry = retry.clone();
        }
        set(&mut options);
        let handle = Inbox::start(parts, options);
        Self { plugin, values, stored, sagas, plugins, handle, store, id, _lease: lease }
    }

    pub fn subscribe(&self, topic: &str) {
        *self.plugins.0.lock().unwrap() = Plugins::catalog([manifest(&[topic])]);
    }

    /// The plugin sees this topic's messages before they are published, and no other's.
    pub fn names_out(&self, topic: &str) {
        let named = Manifest { out_topics: vec![topic.into()], ..manifest(&[]) };
        *self.plugins.0.lock().unwrap() = Plugins::catalog([named]);
    }

    /// A second plugin beside the first.
    pub fn add(&self, second: Manifest) {
        *self.plugins.0.lock().unwrap() = Plugins::catalog([manifest(&[]), second]);
    }

    /// What the database sees when its process is killed.
    pub fn lost(&self) -> String {
        format!("delete from wasaga.hosts where id = {}", self.id.0)
    }

    pub async fn sagas_woken(&self) {
        tokio::time::timeout(Duration::from_secs(5), self.sagas.notified())
            .await
            .expect("sagas are woken");
    }

    /// Nothing is under way that does not end: a stop waits for the like as long as `InboxOptions::grace`.
    pub async fn stop(self) {
        let grace = InboxOptions::default().grace;
        tokio::time::timeout(grace / 2, self.handle.stop()).await.expect("it stops by itself");
        self.store.host_leave(self.id).await.unwrap();
    }
}
