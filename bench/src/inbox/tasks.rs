//! Consumer and inbox, from the first record to the last task that is done.

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
use wasaga_engine::inbox::{Inbox, InboxOptions, InboxParts};
use wasaga_kafka::{BrokerHealth, ClientOptions, Consumer, ConsumerOptions};
use wasaga_store::{lease::HostLease, testing::database_on, testing_sql::Session};

use super::Topic;

const PATIENCE: Duration = Duration::from_mins(5);

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

/// Tasks a second that come from the topic and are done, from when the first was stored.
pub async fn handled_per_s(
    server: &str,
    client: &ClientOptions,
    topic: &Topic,
    executor: Arc<dyn TaskExecutor>,
    options: InboxOptions,
) -> Result<f64> {
    let database = database_on(server.to_owned()).await;
    let mut sql = Session::open(&database.url).await;
    let records = topic.records.len();
    let (store, seconds) = (database.store.clone(), Duration::from_secs(10));
    let lease = HostLease::start(store.clone(), "bench".into(), "bench", seconds).await?;
    let catalog = Arc::new(hears(&topic.name)?);
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

    let count = "select coalesce(sum(next), 0)::bigint from wasaga.next_offsets";
    reaches(&mut sql, count, 1).await?;
    let begun = Instant::now();
    let first = sql.number(count).await;
    reaches(&mut sql, count, records as i64).await?;
    let open = "select -count(*) from wasaga.task_in where status in ('wait', 'work')";
    reaches(&mut sql, open, 0).await?;
    let took = begun.elapsed();
    consumer.stop().await;
    inbox.stop().await;
    lease.stop().await;
    let done = sql.number("select count(*) from wasaga.task_in where status = 'ready'").await;
    ensure!(done == records as i64, "{done} of {records} tasks are done");
    Ok((records as f64 - first as f64) / took.as_secs_f64())
}

async fn reaches(sql: &mut Session, query: &str, bound: i64) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while sql.number(query).await < bound {
        ensure!(Instant::now() < until, "not within {PATIENCE:?}: {query} = {bound}");
        time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
