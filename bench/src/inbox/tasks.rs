//! Consumer and inbox on a database of their own, and what they make of a topic.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::{sync::Notify, time};
use uuid::Uuid;
use wasaga_domain::{
    catalog::{Catalog, Plugin},
    clock::SystemClock,
    ids::Digest,
    manifest::Manifest,
    ports::{CatalogSource, TaskExecutor},
    value_reader::NoCodecs,
};
use wasaga_engine::inbox::{Inbox, InboxHandle, InboxOptions, InboxParts};
use wasaga_kafka::{BrokerHealth, ClientOptions, Consumer, ConsumerHandle, ConsumerOptions};
use wasaga_store::{
    lease::HostLease,
    testing::{TestDatabase, database_on},
    testing_sql::Session,
};

const PATIENCE: Duration = Duration::from_mins(5);
const DONE: &str = "select count(*) from wasaga.task_in where status = 'ready'";

/// The one plugin there is, which hears the topic.
struct Hears(Arc<Catalog>);

impl CatalogSource for Hears {
    fn catalog(&self) -> Arc<Catalog> {
        self.0.clone()
    }
}

fn hears(topic: &str) -> Result<Hears> {
    let manifest: Manifest = serde_json::from_value(serde_json::json!({
        "name": "bench-tasks", "version": "1.0.0", "subscriptions": [{ "topic": topic }],
    }))?;
    let name = manifest.name.clone();
    let plugin = Plugin { digest: Digest::of(b""), manifest: Arc::new(manifest), lifecycle: false };
    let catalog = Catalog { plugins: [(name, plugin)].into(), ..Catalog::default() };
    Ok(Hears(Arc::new(catalog)))
}

/// Consumer and inbox at work.
pub struct Running {
    pub sql: Session,
    pub database: TestDatabase,
    consumer: ConsumerHandle,
    inbox: InboxHandle,
    lease: HostLease,
}

impl Running {
    /// Starts them on all that is and will be in a topic.
    pub async fn start(
        server: &str,
        client: &ClientOptions,
        topic: &str,
        executor: Arc<dyn TaskExecutor>,
        options: InboxOptions,
    ) -> Result<Self> {
        let database = database_on(server.to_owned()).await;
        let sql = Session::open(&database.url).await;
        let (store, seconds) = (database.store.clone(), Duration::from_secs(10));
        let lease = HostLease::start(store.clone(), "bench".into(), "bench", seconds).await?;
        let catalog = Arc::new(hears(topic)?);
        let stored = Arc::new(Notify::new());
        let parts = InboxParts {
            store: store.clone(),
            catalog: catalog.clone(),
            executor,
            values: Arc::new(NoCodecs),
            clock: Arc::new(SystemClock),
            host: lease.host(),
            stored: stored.clone(),
            sagas: Arc::new(Notify::new()),
            outbox: Arc::new(Notify::new()),
        };
        let inbox = Inbox::start(parts, options);
        let group = Uuid::new_v4().to_string();
        let options = ConsumerOptions { group, ..ConsumerOptions::default() };
        let health = BrokerHealth::default();
        let consumer = Consumer::start(store, client, catalog, options, stored, health)?;
        Ok(Self { sql, database, consumer, inbox, lease })
    }

    /// Tasks a second that come from the topic, of so many records, and are done, from when the first was stored.
    pub async fn handled_per_s(mut self, records: usize) -> Result<f64> {
        let (sql, records) = (&mut self.sql, records as i64);
        let count = "select coalesce(sum(next), 0)::bigint from wasaga.next_offsets";
        reaches(sql, count, 1).await?;
        let begun = Instant::now();
        let first = sql.number(count).await;
        reaches(sql, count, records).await?;
        let open = "select -count(*) from wasaga.task_in where status in ('wait', 'work')";
        reaches(sql, open, 0).await?;
        let took = begun.elapsed();
        let done = sql.number(DONE).await;
        self.stop().await;
        ensure!(done == records, "{done} of {records} tasks are done");
        Ok((records - first) as f64 / took.as_secs_f64())
    }

    /// Waits until so many tasks are done.
    pub async fn done(&mut self, tasks: usize) -> Result<()> {
        reaches(&mut self.sql, DONE, tasks as i64).await
    }

    pub async fn stop(self) {
        self.consumer.stop().await;
        self.inbox.stop().await;
        self.lease.stop().await;
    }
}

async fn reaches(sql: &mut Session, query: &str, bound: i64) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while sql.number(query).await < bound {
        ensure!(Instant::now() < until, "not within {PATIENCE:?}: {query} = {bound}");
        time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
