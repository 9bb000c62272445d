//! An outbox in a database of its own, and a topic.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::{sync::Notify, time};
use uuid::Uuid;
use wasaga_kafka::{BrokerHealth, ClientOptions, Relay, RelayHandle, RelayOptions, testing};
use wasaga_store::{
    lease::HostLease,
    testing::{TestDatabase, database_on},
    testing_sql::Session,
};

pub const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_mins(5);

pub struct Outbox {
    pub database: TestDatabase,
    pub topic: String,
    client: ClientOptions,
    sql: Session,
    last: i64,
}

impl Outbox {
    pub async fn new(server: &str, client: &ClientOptions) -> Result<Self> {
        let database = database_on(server.to_owned()).await;
        let topic = format!("bench-{}", Uuid::new_v4().simple());
        testing::make_topic(client, &topic, PARTITIONS).await?;
        let sql = Session::open(&database.url).await;
        Ok(Self { database, topic, client: client.clone(), sql, last: 0 })
    }

    /// Adds messages that wait.
    pub async fn fill(&mut self, messages: usize, keys: usize, bytes: usize) {
        let topic = &self.topic;
        self.sql
            .run(&format!(
                "insert into wasaga.task_out (topic, key, value)
                 select '{topic}', convert_to('key-' || n % {keys}, 'UTF8'),
                     (select convert_to(string_agg(md5(n::text || '/' || part), ''), 'UTF8')
                         from generate_series(1, {bytes} / 32) part)
                 from generate_series(1, {messages}) n"
            ))
            .await;
        self.last = self.sql.number("select max(id) from wasaga.task_out").await;
    }

    /// Adds messages of 256 bytes that were published before.
    pub async fn fill_published(&mut self, messages: usize, keys: usize) {
        self.fill(messages, keys, 256).await;
        self.sql.run("update wasaga.task_out set status = 'ready', finished_at = now()").await;
    }

    /// Starts a relay under a host's lease; and since when it works.
    pub async fn relay(&self, options: RelayOptions) -> Result<(RelayHandle, HostLease, Instant)> {
        let store = self.database.store.clone();
        let lease = HostLease::start(store.clone(), "bench".into(), "bench", options.lease).await?;
        let (wake, health) = (Arc::new(Notify::new()), BrokerHealth::default());
        let begun = Instant::now();
        let relay = Relay::start(store, &self.client, options, lease.host(), wake, health)?;
        Ok((relay, lease, begun))
    }

    /// Waits until all is marked.
    pub async fn published(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        let last = format!(
            "select count(*) from wasaga.task_out where id = {} and status = 'ready'",
            self.last
        );
        let waiting = "select count(*) from wasaga.task_out where status = 'wait'";
        while self.sql.number(&last).await == 0 || self.sql.number(waiting).await > 0 {
            ensure!(Instant::now() < until, "the outbox is not published after {PATIENCE:?}");
            time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}
