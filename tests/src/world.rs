//! What a test has for itself: a database, a broker, a plugin directory.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use wasaga_services::{Kafka, KafkaOptions, Postgres, PostgresOptions, free_port};
use wasaga_store::{
    testing::{self, TestDatabase},
    testing_sql::Session,
};

use crate::{
    Api, HostOptions, PATIENCE, PluginDirectory, check::ENDED, directory::Directory, environment,
    eventually,
};

/// Brokers cost memory and seconds: there are two at a time.
static KAFKAS: Semaphore = Semaphore::const_new(2);

/// Sagas that a host has accepted, by an answer of 2xx.
pub(crate) type Accepted = Arc<Mutex<Vec<String>>>;

/// A database, a broker and a plugin directory of a test's own. Fields are dropped in this order.
pub struct World {
    pub(crate) database: TestDatabase,
    /// The server, where it is the test's own, to be restarted.
    pub postgres: Option<Postgres>,
    /// The broker, where it is a real one; else each host has one embedded.
    pub kafka: Option<Kafka>,
    /// The directory that hosts watch.
    pub plugins: PluginDirectory,
    pub(crate) accepted: Accepted,
    pub(crate) directory: Directory,
    _of_kafkas: Option<SemaphorePermit<'static>>,
}

impl World {
    /// A world whose host brings its own broker: for tests with one host that runs from beginning to end.
    pub async fn embedded(plugins: &[&str]) -> Self {
        Self::with(testing::database_on(environment::postgres()).await, plugins)
    }

    /// A world with an Apache Kafka.
    pub async fn on_kafka(plugins: &[&str]) -> Self {
        let permit = KAFKAS.acquire().await.expect("it is never closed");
        // A host that was killed leaves its consumer group soon.
        let properties = vec![("group.min.session.timeout.ms".to_owned(), "1000".to_owned())];
        let kafka = Kafka::start(KafkaOptions { properties, ..KafkaOptions::default() });
        Self {
            kafka: Some(kafka.expect("Kafka starts")),
            _of_kafkas: Some(permit),
            ..Self::embedded(plugins).await
        }
    }

    /// A world with a Postgres of its own, which may be restarted, and embedded brokers.
    pub async fn on_postgres(plugins: &[&str]) -> Self {
        let postgres = Postgres::start(PostgresOptions::default()).expect("Postgres starts");
        let database = testing::database_on(postgres.url()).await;
        Self { postgres: Some(postgres), ..Self::with(database, plugins) }
    }

    fn with(database: TestDatabase, plugins: &[&str]) -> Self {
        let directory = Directory::create();
        Self {
            database,
            postgres: None,
            kafka: None,
            plugins: PluginDirectory::create(directory.path().join("plugins"), plugins),
            accepted: Accepted::default(),
            directory,
            _of_kafkas: None,
        }
    }

    /// A host in this world, still to be started.
    pub fn host(&self) -> HostOptions {
        let text = |text: &str| Value::from(text).to_string();
        let path = |path: &Path| text(&path.to_string_lossy());
        let cache = environment::plugins().with_file_name("guests-compiled");
        let port = free_port().expect("a port is free");
        let mut keys: BTreeMap<String, String> = [
            ("server.port", port.to_string()),
            ("database.url", text(&self.database.url)),
            ("database.max_connections", "12".into()),
            ("plugins.dir", path(self.plugins.path())),
            ("plugins.poll_ms", "100".into()),
            ("plugins.grant_all", "true".into()),
            ("plugins.cache_dir", path(&cache)),
            ("engine.lease_ms", "2000".into()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        match &self.kafka {
            None => keys.insert("kafka.embedded".into(), "true".into()),
            Some(kafka) => {
                keys.insert("kafka.consumer.session.timeout.ms".into(), "3000".into());
                keys.insert("kafka.consumer.heartbeat.interval.ms".into(), "500".into());
                keys.insert("kafka.brokers".into(), text(&kafka.bootstrap()))
            }
        };
        let api = Api::new(format!("http://127.0.0.1:{port}"), self.accepted.clone());
        HostOptions::new(keys, api, self.directory.path())
    }

    /// Writes a file that a host's configuration may name; its path.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.directory.path().join(name);
        fs::write(&path, content).expect("the test's directory can be written");
        path.to_string_lossy().into_owned()
    }

    /// Where the database is, past whatever stands before it.
    pub fn database_url(&self) -> &str {
        &self.database.url
    }

    /// The url by which an application connects, whose role may run these functions of the schema `wasaga`, and do as it
    /// likes in the schema `shop`.
    pub async fn application(&self, functions: &str) -> String {
        self.database.application(functions).await
    }

    /// Runs statements.
    pub async fn run(&self, sql: &str) {
        Session::open(&self.database.url).await.run(sql).await;
    }

    /// A connection of its own.
    pub async fn session(&self) -> Session {
        Session::open(&self.database.url).await
    }

    /// The rows of a query, each as a JSON object.
    pub async fn rows(&self, query: &str) -> Vec<Value> {
        let query = format!("select to_jsonb(answer)::text from ({query}) as answer");
        let rows = Session::open(&self.database.url).await.texts(&query).await;
        let row = |row: Option<String>| serde_json::from_str(&row?).ok();
        rows.into_iter().map(|text| row(text).expect("to_jsonb makes JSON")).collect()
    }

    /// The first column of each row of a query, as text.
    pub async fn texts(&self, query: &str) -> Vec<String> {
        let texts = Session::open(&self.database.url).await.texts(query).await;
        texts.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// The number that a query answers with.
    pub async fn number(&self, query: &str) -> i64 {
        Session::open(&self.database.url).await.number(query).await
    }

    /// How many sagas have not ended.
    pub async fn in_flight(&self) -> i64 {
        self.number(&format!("select count(*) from wasaga.sagas where not ({ENDED})")).await
    }

    /// Waits until all sagas have ended, also those that wait out a lost lease or a broker that was away.
    pub async fn all_end(&self) {
        eventually("all sagas end", 2 * PATIENCE, async || {
            (self.in_flight().await == 0).then_some(())
        })
        .await;
    }

    /// A saga's journal, an entry a line: `undo`, where it is about an undo, the step and what became of it.
    pub async fn journal(&self, saga: &str) -> Vec<String> {
        self.texts(&format!(
            "select concat_ws(' ', case when direction = 'undo' and step is not null then 'undo' end, step, kind)
             from wasaga.journal where saga_id = '{saga}' order by number"
        ))
        .await
    }
}
