//! From which message on a plugin takes part in its topic, on a real Postgres: no message is published as it is, and
//! ended by the plugin as well.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::time::{Duration, Instant};

use serde_json::json;
use wasaga_domain::{
    ids::{Digest, HostId, TaskId},
    outcome::ErrorDetail,
    ports::{ModuleStore, NewModule},
};
use wasaga_store::{
    emit::NewMessage,
    lanes::{Flow, Lane},
    publish_first::First,
    task_in::{TaskEnd, TaskResult},
    task_out::{Excluded, Leased},
    testing::{TestDatabase, database},
    testing_sql::Session,
};

const BOUND: Duration = Duration::from_secs(20);
const NONE: Vec<i64> = Vec::new();

/// A database, and a host that publishes, and calls plugins.
struct Stage {
    db: TestDatabase,
    host: HostId,
    relay: Lane,
    handle_out: Lane,
}

fn module(out_topics: &[&str]) -> NewModule {
    let manifest = json!({"name": "mailer", "version": "1.0.0", "out_topics": out_topics});
    let bytes = manifest.to_string().into_bytes();
    NewModule {
        digest: Digest::of(&bytes),
        bytes,
        sql: false,
        event_store: false,
        manifest: serde_json::from_value(manifest).unwrap(),
    }
}

impl Stage {
    async fn new() -> Self {
        let db = database().await;
        let host = db.store.host_register("test", "1", Duration::from_mins(5)).await.unwrap();
        let relay = db.store.lanes_take(host, Flow::Out, 1).await.unwrap()[0];
        let handle_out = db.store.lanes_take(host, Flow::HandleOut, 1).await.unwrap()[0];
        Self { db, host, relay, handle_out }
    }

    async fn emit(&self) -> i64 {
        let mut session = Session::open(&self.db.url).await;
        session
            .number("select wasaga.emit('mails', 'k', '{}', rollback => '{\"topic\": \"undo\"}')")
            .await
    }

    /// What the relay publishes next.
    async fn read(&self) -> Vec<i64> {
        let nothing = Excluded::default();
        let store = &self.db.store;
        match store.task_out_waiting(self.host, self.relay, &nothing, 100, 1 << 20).await.unwrap() {
            Leased::Held(rows) => rows.iter().map(|row| row.id).collect(),
            Leased::Lost => panic!("the lane is lost"),
        }
    }

    /// What the plugin is called for next.
    async fn find(&self) -> Vec<i64> {
        let (topics, nothing) = (["mails".to_owned()], Excluded::default());
        let store = &self.db.store;
        let found = store.tasks_find(Flow::HandleOut, &[0], &topics, &nothing, 100).await.unwrap();
        found.iter().map(|task| task.id.0).collect()
    }

    async fn next(&self) -> (Vec<i64>, Vec<i64>) {
        (self.read().await, self.find().await)
    }

    /// The plugin gives a message up. False where it has no part in it.
    async fn refuse(&self, id: i64) -> bool {
        let end = TaskEnd {
            id: TaskId(id),
            lane: self.handle_out,
            result: TaskResult::Error(ErrorDetail::new("no", "never")),
            attempts: 1,
            digest: None,
        };
        !self.db.store.tasks_finish(self.host, &[end]).await.unwrap().is_empty()
    }

    async fn rolled_back(&self) -> Vec<Option<String>> {
        self.db
            .texts("select id::text from wasaga.task_out where status = 'rollback' order by id")
            .await
    }
}

#[tokio::test]
async fn what_the_relay_may_have_in_hand_goes_out_as_it_is() {
    let stage = Stage::new().await;
    let first = stage.emit().await;
    let mut activation = Session::open(&stage.db.url).await;
    let named = json!({"out_topics": ["mails"]});
    activation
        .run(&format!(
            "begin;
             insert into wasaga.modules (digest, plugin, version, manifest, bytes)
                 values (sha256('m'), 'mailer', '1', '{named}', 'm');
             insert into wasaga.activations (plugin, digest) values ('mailer', sha256('m'))"
        ))
        .await;
    let second = stage.emit().await;
    assert_eq!(stage.read().await, [first, second], "the relay has them in hand");
    activation.run("commit").await;

    // The host that activated it died here.
    let third = stage.emit().await;
    assert_eq!(stage.next().await, (NONE, NONE), "nobody's yet");
    let message = NewMessage { topic: "mails".into(), ..NewMessage::default() };
    let stored = match stage.db.store.task_out_first(&message).await.unwrap() {
        First::Stored(id) => id,
        First::Publish(_) | First::Known(_) => panic!("it is nobody's yet"),
    };
    for id in [first, second, third, stored] {
        assert!(!stage.refuse(id).await, "{id} is nobody's yet");
    }

    stage.db.store.handled_topics_begin().await.unwrap();
    let handled = stage.emit().await;
    stage.db.store.handled_topics_begin().await.unwrap();
    assert_eq!(stage.read().await, [first, second, third, stored]);
    assert_eq!(stage.find().await, [handled]);
    for id in [first, second, third, stored] {
        assert!(!stage.refuse(id).await, "{id} is the relay's");
    }
    let ids = [first, second, third, stored, handled];
    stage.db.store.task_out_published(stage.host, stage.relay, &ids[..4]).await.unwrap();
    assert!(stage.refuse(handled).await);
    assert_eq!(stage.rolled_back().await, [Some(handled.to_string())]);
    assert_eq!(stage.read().await, [handled + 1], "the rollback message");
}

#[tokio::test]
async fn a_topic_that_is_named_again_begins_anew() {
    let stage = Stage::new().await;
    stage.db.store.activate(module(&["mails"])).await.unwrap();
    let first = stage.emit().await;
    stage.db.store.activate(module(&["mails", "others"])).await.unwrap();
    assert_eq!(stage.next().await, (NONE, vec![first]));
    stage.db.store.activate(module(&[])).await.unwrap();
    assert_eq!(stage.next().await, (vec![first], NONE));
    assert!(!stage.refuse(first).await, "no plugin takes part");
    stage.db.store.activate(module(&["mails"])).await.unwrap();
    let second = stage.emit().await;
    assert_eq!(stage.next().await, (vec![first], vec![second]));
    assert!(!stage.refuse(first).await, "the relay may have it in hand");
    assert!(stage.rolled_back().await.is_empty());
}

#[tokio::test]
async fn an_activation_waits_for_what_a_plugin_made_of_a_message() {
    let stage = Stage::new().await;
    stage.db.store.activate(module(&["mails"])).await.unwrap();
    let refused = stage.emit().await;
    let mut commit = Session::open(&stage.db.url).await;
    commit
        .run(&format!(
            "begin;
             select wasaga.tasks_finish('handle_out', {}, '{{{refused}}}', '{{0}}', '{{{}}}', '{{error}}', '{{1}}',
                 array[null]::bigint[], array['{{\"code\": \"no\"}}'::jsonb], array[null]::bytea[],
                 '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', null, null)",
            stage.host.0, stage.handle_out.epoch
        ))
        .await;
    let store = stage.db.store.clone();
    let activation = tokio::spawn(async move { store.activate(module(&[])).await });
    let waits = "select count(*) from pg_locks where not granted and relation = 'wasaga.handled_topics'::regclass";
    let begun = Instant::now();
    let mut looks = Session::open(&stage.db.url).await;
    while looks.number(waits).await == 0 {
        assert!(begun.elapsed() < BOUND, "the activation waits for nothing");
        assert_eq!(stage.read().await, NONE, "its message is about to be given up");
    }
    commit.run("commit").await;
    tokio::time::timeout(BOUND, activation).await.unwrap().unwrap().unwrap();
    assert_eq!(stage.rolled_back().await, [Some(refused.to_string())]);
    assert_eq!(stage.read().await, [refused + 1], "the rollback message alone");
}
