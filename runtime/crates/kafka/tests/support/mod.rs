//! What the tests share: a host's lease, clients of the broker, and waiting on conditions.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod group;
pub mod log;
pub mod outage;
pub mod secured;

use std::{
    collections::{BTreeMap, HashMap},
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use tokio::sync::{Notify, watch};
use uuid::Uuid;
use wasaga_domain::ids::HostId;
pub use wasaga_kafka::testing::Seen;
use wasaga_kafka::{
    BrokerHealth, ClientOptions, Relay, RelayHandle, RelayOptions,
    testing::{Place, Reader},
};
use wasaga_store::{
    Store,
    testing::{TestDatabase, database},
    testing_sql::Session,
};

pub const BOUND: Duration = Duration::from_secs(40);

/// The real broker of the test run.
pub fn broker() -> String {
    env::var("WASAGA_TEST_KAFKA")
        .expect("WASAGA_TEST_KAFKA must name a Kafka broker: run the tests by `cargo xtask test`")
}

/// A topic nobody else uses.
pub fn topic(name: &str) -> String {
    format!("{name}-{}", Uuid::new_v4().simple())
}

pub fn client(bootstrap: &str, extra: &[(&str, &str)]) -> ClientOptions {
    let mut all = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())]);
    all.extend(extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    ClientOptions::new(all).expect("the options fit")
}

/// Waits until `$condition` holds, for no longer than [`BOUND`].
#[macro_export]
macro_rules! wait_until {
    ($what:expr, $condition:expr) => {{
        let until = std::time::Instant::now() + $crate::support::BOUND;
        while !$condition {
            assert!(std::time::Instant::now() < until, "in vain: {}", $what);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }};
}

/// A database with a living host.
pub struct World {
    pub db: TestDatabase,
    pub sql: Session,
    pub host: HostId,
    pub lease: watch::Sender<Option<HostId>>,
    pub wake: Arc<Notify>,
    pub health: BrokerHealth,
}

impl World {
    pub async fn new() -> Self {
        let db = database().await;
        let sql = Session::open(&db.url).await;
        let host = register(&db.store).await;
        let (lease, _) = watch::channel(Some(host));
        let (wake, health) = (Arc::default(), BrokerHealth::default());
        Self { db, sql, host, lease, wake, health }
    }

    pub fn relay(&self, client: &ClientOptions, options: RelayOptions) -> RelayHandle {
        self.relay_as(client, options, self.lease.subscribe())
    }

    pub fn relay_as(
        &self,
        client: &ClientOptions,
        options: RelayOptions,
        lease: watch::Receiver<Option<HostId>>,
    ) -> RelayHandle {
        let (store, wake) = (self.db.store.clone(), self.wake.clone());
        Relay::start(store, client, options, lease, wake, self.health.clone())
            .expect("the options fit")
    }

    /// Adds a message; SQL expressions for key, value and rollback.
    pub async fn emit(&mut self, topic: &str, key: &str, value: &str, rollback: &str) {
        emit(&mut self.sql, topic, key, value, rollback).await;
    }

    pub async fn count(&mut self, what: &str) -> i64 {
        self.sql.number(&format!("select count(*) from wasaga.{what}")).await
    }
}

pub async fn register(store: &Store) -> HostId {
    store.host_register("test", "0", Duration::from_hours(1)).await.expect("a host")
}

pub async fn emit(sql: &mut Session, topic: &str, key: &str, value: &str, rollback: &str) {
    sql.run(&format!(
        "insert into wasaga.task_out (topic, key, value, rollback, idempotency_key, traceparent)
         values ('{topic}', {key}, {value}, {rollback}, 'do-it', '00-1-1-01')"
    ))
    .await;
}

/// Reads a topic from its start until `count` records came.
pub fn read(bootstrap: &str, topic: &str, count: usize) -> Vec<Seen> {
    read_until(bootstrap, topic, |seen| seen.len() >= count)
}

/// Reads a topic from its start until what came is enough.
pub fn read_until(bootstrap: &str, topic: &str, enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
    let reader =
        Reader::new(&client(bootstrap, &[]), topic, Place::Start).expect("the broker answers");
    let mut seen = Vec::new();
    let until = Instant::now() + BOUND;
    while !enough(&seen) {
        assert!(Instant::now() < until, "{topic}: only {} records came", seen.len());
        // An error that passes is as good as no record.
        seen.extend(reader.next_whole().ok().flatten());
    }
    seen
}

/// The values of each key in order, without what was published twice.
pub fn by_key(seen: &[Seen]) -> HashMap<String, Vec<String>> {
    let mut all: HashMap<String, Vec<String>> = HashMap::new();
    for record in seen {
        let values = all.entry(record.key.clone().unwrap_or_default()).or_default();
        if !values.contains(&record.value) {
            values.push(record.value.clone());
        }
    }
    all
}

/// Produces records (partition, key, value) in this order.
pub fn produce(bootstrap: &str, topic: &str, records: &[(Option<i32>, &str, &[u8])]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("message.max.bytes", "10000000")
        .create()
        .expect("a producer");
    for (partition, key, value) in records {
        let mut record = BaseRecord::to(topic).key(*key).payload(*value);
        record.partition = *partition;
        producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
    }
    let until = Instant::now() + BOUND;
    while producer.in_flight_count() > 0 {
        assert!(Instant::now() < until, "the records were not acknowledged");
        producer.poll(Duration::from_millis(20));
    }
}
