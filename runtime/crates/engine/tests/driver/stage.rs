//! A database, and hosts on it.

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep, timeout},
};
use wasaga_domain::{
    clock::SystemClock,
    definition::{Definition, Step, Undo},
    ids::{Digest, HostId, SagaId},
    manifest::{Capabilities, Manifest, Migration, OnUndoFailure},
    payload::Payload,
    ports::{ModuleStore, NewModule},
    retry::RetryPolicy,
};
use wasaga_engine::{
    definitions::DefinitionSource,
    driver::{Engine, EngineHandle, EngineOptions, Parts, StartRequest},
};
use wasaga_store::{
    Store, StoreOptions,
    lease::HostLease,
    testing::{TestDatabase, database},
    testing_sql::Session,
};

use crate::{
    proxy::Proxy,
    script::{REPLIES, Scripted},
};

/// No test takes longer, whatever breaks.
const BOUND: Duration = Duration::from_mins(1);

/// Runs a test's body within the bound.
pub async fn bounded(body: impl Future<Output = ()>) {
    timeout(BOUND, Box::pin(body)).await.expect("the test ends in time");
}

/// Waits until a condition holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let end = Instant::now() + BOUND / 2;
    while !holds().await {
        assert!(Instant::now() < end, "it never happened: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Definitions that a test knows, all of one name.
pub struct Known(pub Vec<Arc<Definition>>);

#[async_trait]
impl DefinitionSource for Known {
    async fn definition(&self, name: &str, version: u32) -> Result<Arc<Definition>, String> {
        let known = self.0.iter().find(|known| *known.name == *name && known.version == version);
        known.cloned().ok_or_else(|| format!("{name} version {version} is not known"))
    }
}

/// A definition of steps that can be undone, with three attempts each way and `delay` between them.
pub fn definition(steps: &str, delay: Duration) -> Arc<Definition> {
    let retry = RetryPolicy::Fixed { delay_ms: delay.as_millis() as u64, max_attempts: Some(3) };
    let timeout = Duration::from_secs(20);
    let step = |(place, name): (u16, &str)| Step {
        name: name.into(),
        worker: "worker".parse().unwrap(),
        after: place.checked_sub(1).into_iter().collect(),
        pivot: false,
        guarded: false,
        timeout,
        retry: retry.clone(),
        undo: Some(Undo {
            retry: retry.clone(),
            timeout,
            on_failure: OnUndoFailure::NeedsAttention,
        }),
    };
    Arc::new(Definition {
        name: "test".into(),
        version: 1,
        steps: (0..).zip(steps.split(' ')).map(step).collect(),
        input_schema: None,
        plugin: "worker".parse().unwrap(),
        lifecycle_topic: None,
        deadline: None,
        pin_workers: false,
        pins: wasaga_domain::definition::Pins::new(),
    })
}

/// The plugin's own table; a note of a step called `clash` conflicts when its transaction is to be committed.
const NOTES: &str = "create table notes (note text);
    create function clash() returns trigger language plpgsql as $$ begin
        raise exception 'try again' using errcode = '40001';
    end $$;
    create constraint trigger clash after insert on notes deferrable initially deferred
        for each row when (new.note like 'clash%') execute function clash()";

/// Starts that wait for a lock.
pub const BLOCKED_STARTS: &str = "pg_stat_activity where datname = current_database()
    and wait_event_type = 'Lock' and query like '%insert into wasaga.sagas%'";

pub struct Stage {
    pub db: TestDatabase,
    pub definition: Arc<Definition>,
    /// What else hosts know.
    pub others: Vec<Arc<Definition>>,
}

pub struct Host {
    pub engine: Engine,
    pub handle: EngineHandle,
    pub script: Arc<Scripted>,
    pub sagas: Arc<Notify>,
    pub ends: mpsc::UnboundedReceiver<SagaId>,
}

impl Stage {
    pub async fn new(steps: &str) -> Self {
        Self::with(definition(steps, Duration::ZERO)).await
    }

    pub async fn with(definition: Arc<Definition>) -> Self {
        Self { db: database().await, definition, others: Vec::new() }
    }

    /// The steps' plugin has a table of its own.
    pub async fn with_notes(steps: &str) -> Self {
        let stage = Self::new(steps).await;
        let migration = Migration { version: 1, name: "notes".into(), up: NOTES.into() };
        let manifest = Manifest {
            name: "worker".parse().unwrap(),
            version: "1.0.0".into(),
            sagas: vec![],
            steps: vec![],
            subscriptions: vec![],
            out_topics: vec![],
            dead_in_topics: vec![],
            dead_out_topics: vec![],
            migrations: vec![migration],
            capabilities: Capabilities::default(),
        };
        let module = NewModule {
            digest: Digest::of(b"x"),
            bytes: b"x".to_vec(),
            manifest,
            sql: true,
            event_store: false,
        };
        stage.db.store.activate(module).await.unwrap();
        stage
    }

    /// What was noted and committed, in order.
    pub async fn notes(&self) -> Vec<String> {
        let sql = "select note from plugin_worker.notes order by note";
        self.session().await.texts(sql).await.into_iter().flatten().collect()
    }

    pub async fn session(&self) -> Session {
        Session::open(&self.db.url).await
    }

    /// A store of its own, as another process has it.
    pub fn store(&self) -> Store {
        Store::new(StoreOptions::new(self.db.url.clone())).unwrap()
    }

    /// The same, behind a proxy.
    pub fn store_behind(&self, proxy: &Proxy) -> Store {
        Store::new(StoreOptions::new(proxy.url(&self.db.url))).unwrap()
    }

    pub async fn lease(&self, lease: Duration) -> HostLease {
        HostLease::start(self.store(), "test".into(), "0", lease).await.unwrap()
    }

    /// An engine under a lease, with a sweep so short that tests do not wait for it.
    pub fn host(&self, lease: &HostLease, script: Scripted) -> Host {
        self.host_on(self.store(), lease.host(), script, EngineOptions::default())
    }

    pub fn host_on(
        &self,
        store: Store,
        host: watch::Receiver<Option<HostId>>,
        script: Scripted,
        options: EngineOptions,
    ) -> Host {
        let script = Arc::new(script);
        let sagas = Arc::new(Notify::new());
        let known = self.others.iter().chain([&self.definition]).cloned().collect();
        let (sender, ends) = mpsc::unbounded_channel();
        let parts = Parts {
            store,
            executor: Arc::clone(&script) as _,
            definitions: Arc::new(Known(known)),
            clock: Arc::new(SystemClock),
            host,
            sagas: Arc::clone(&sagas),
            outbox: Arc::new(Notify::new()),
            ends: Some(sender),
        };
        let options = EngineOptions { sweep: Duration::from_millis(50), ..options };
        let (engine, handle) = Engine::start_up(parts, options);
        Host { engine, handle, script, sagas, ends }
    }

    pub fn request(&self, key: &str) -> StartRequest {
        StartRequest {
            definition: Arc::clone(&self.definition),
            business_key: Some(key.into()),
            input: Payload::json(format!("\"{key}\"")),
            traceparent: None,
        }
    }

    pub async fn status(&self, saga: SagaId) -> &'static str {
        self.db.store.saga_get(saga).await.unwrap().expect("it exists").status.as_str()
    }

    pub async fn until_status(&self, saga: SagaId, status: &str) {
        until(status, async || self.status(saga).await == status).await;
    }

    /// The journal as `[undo ]kind[ step]`, in order; its numbers have no gap.
    pub async fn journal(&self, saga: SagaId) -> Vec<String> {
        let sql = format!(
            "select case when direction = 'undo' and step is not null then 'undo ' else '' end || kind
                 || coalesce(' ' || step, '')
             from wasaga.journal where saga_id = '{saga}' order by number"
        );
        let mut session = self.session().await;
        let sql_gap = format!(
            "select count(*) from wasaga.journal j join wasaga.sagas s on s.id = j.saga_id
             where s.id = '{saga}' and j.number > s.sequence"
        );
        assert_eq!(session.number(&sql_gap).await, 0, "entries past the saga's sequence");
        session.texts(&sql).await.into_iter().flatten().collect()
    }

    /// A message of the replies' topic comes in, as the inbox delivers it: again where a wait is registered at the same time.
    pub async fn reply(&self, correlation: &str) {
        let sql = format!(
            "do $$ begin loop begin
                 perform wasaga.replies_deliver(array['{REPLIES}'], array['{correlation}'],
                     array[null]::bytea[], array['[]']::jsonb[], array['yes']::bytea[], 60000);
                 return;
             exception when serialization_failure then null;
             end; end loop; end $$"
        );
        self.session().await.run(&sql).await;
    }

    pub async fn count(&self, sql: &str) -> i64 {
        self.session().await.number(&format!("select count(*) from {sql}")).await
    }
}

impl Host {
    pub async fn end(&mut self) -> SagaId {
        timeout(BOUND / 2, self.ends.recv()).await.expect("a saga ends in time").unwrap()
    }
}
