//! Guests' event streams on a real Postgres: conflicts, bounds, and that nobody reaches another's.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::time::{Duration, Instant};

use wasaga_domain::{
    clock::{Clock, SystemClock},
    events::{Event, EventError, Snapshot, Stream},
    ids::{Digest, HostId, SagaId, TaskId},
    manifest::{Capabilities, Manifest},
    payload::Payload,
    ports::{GuestDatabase, GuestTransaction, ModuleStore, NewModule},
    sql::{SqlError, SqlRows, SqlValue},
};
use wasaga_store::{
    StoreError,
    lanes::Flow,
    task_in::{TaskEnd, TaskResult},
    testing::{TestDatabase, database},
};

struct Books(TestDatabase, HostId);

impl Books {
    /// Plugins that are granted the event store (and `sql`, with which they may try to get at more), and one that is
    /// granted `sql` alone.
    async fn open() -> Self {
        let db = database().await;
        for (plugin, sql, event_store) in
            [("orders", true, true), ("stock", false, true), ("outsider", true, false)]
        {
            db.store.activate(module(plugin, sql, event_store)).await.unwrap();
        }
        let host = db.store.host_register("a", "1", Duration::from_mins(1)).await.unwrap();
        db.store.lanes_take(host, Flow::In, 1).await.unwrap();
        Self(db, host)
    }

    async fn begin(&self, plugin: &str) -> Box<dyn GuestTransaction> {
        let deadline = SystemClock.now().after(Duration::from_secs(20));
        self.0.store.begin(&plugin.parse().unwrap(), deadline).await.unwrap()
    }

    /// Ends a task with the guest's transaction.
    async fn commit(&self, guest: Box<dyn GuestTransaction>) -> Result<bool, StoreError> {
        let Self(db, host) = self;
        let lane = db.store.lanes_take(*host, Flow::In, 1).await.unwrap()[0];
        let task = format!(
            r#"insert into wasaga.task_in (lane, cluster, topic, partition, "offset")
               select {}, 'c', 't', 0, count(*) from wasaga.task_in returning id::text"#,
            lane.number
        );
        let id = db.texts(&task).await.remove(0).unwrap().parse().unwrap();
        let result = TaskResult::Ready(vec![]);
        let end = TaskEnd { id: TaskId(id), lane, result, attempts: 1, digest: None };
        db.store.tasks_finish_guest(*host, &end, guest).await
    }

    async fn append(&self, plugin: &str, stream: &str, expected: u64, names: &[&str]) {
        let mut guest = self.begin(plugin).await;
        guest.append(stream, expected, &events(names), None).await.unwrap();
        assert!(self.commit(guest).await.unwrap());
    }

    async fn load(&self, plugin: &str, stream: &str) -> Stream {
        self.begin(plugin).await.load(stream).await.unwrap()
    }
}

fn module(plugin: &str, sql: bool, event_store: bool) -> NewModule {
    let bytes = plugin.as_bytes().to_vec();
    NewModule {
        digest: Digest::of(&bytes),
        bytes,
        manifest: Manifest {
            name: plugin.parse().unwrap(),
            version: "1.0.0".into(),
            sagas: vec![],
            steps: vec![],
            subscriptions: vec![],
            out_topics: vec![],
            dead_in_topics: vec![],
            dead_out_topics: vec![],
            migrations: vec![],
            capabilities: Capabilities::default(),
        },
        sql,
        event_store,
    }
}

fn event(name: &str, bytes: usize) -> Event {
    let payload = Payload::new("text/plain".into(), vec![b'x'; bytes]);
    Event { event_type: name.into(), payload }
}

fn events(names: &[&str]) -> Vec<Event> {
    names.iter().map(|name| event(name, name.len())).collect()
}

fn snapshot(version: u64) -> Snapshot {
    Snapshot { version, state: Payload::json(format!("{{\"at\": {version}}}")) }
}

fn names(stream: &Stream) -> Vec<(u64, &str)> {
    stream.events.iter().map(|stored| (stored.version, &*stored.event.event_type)).collect()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, EventError>) -> String {
    match result {
        Err(EventError::Other(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_comes_back_as_it_went() {
    let books = Books::open().await;
    assert_eq!(books.load("orders", "o-1").await, Stream::default());
    let mut guest = books.begin("orders").await;
    let saga = SagaId::derived("order", "1");
    let sent = [event("opened", 3), event("naïve/ŽLUŤ", 0)];
    assert_eq!(guest.append("o-1", 0, &sent, Some(saga)).await, Ok(2));
    assert_eq!(guest.append("o-1", 2, &[], None).await, Ok(2));
    assert_eq!(guest.append("o-1", 2, &events(&["paid"]), None).await, Ok(3));
    // Its own events, before anybody else sees them.
    let stream = guest.load("o-1").await.unwrap();
    assert_eq!(names(&stream), [(1, "opened"), (2, "naïve/ŽLUŤ"), (3, "paid")]);
    assert_eq!(stream.events[0].event, sent[0]);
    assert_eq!(books.load("orders", "o-1").await, Stream::default());
    assert!(books.commit(guest).await.unwrap());
    assert_eq!(books.load("orders", "o-1").await, stream);
    let sagas = books.0.texts("select saga_id::text from wasaga.events order by version").await;
    assert_eq!(sagas, [Some(saga.to_string()), Some(saga.to_string()), None]);
}

#[tokio::test]
async fn events_go_with_their_transaction() {
    let books = Books::open().await;
    let mut guest = books.begin("stock").await;
    guest.append("s", 0, &events(&["a", "b"]), None).await.unwrap();
    guest.save_snapshot("s", &snapshot(2)).await.unwrap();
    drop(guest);
    assert_eq!(books.load("stock", "s").await, Stream::default());
}

#[tokio::test]
async fn the_last_snapshot_and_what_came_after_it_are_loaded() {
    let books = Books::open().await;
    books.append("orders", "o", 0, &["a", "b", "c"]).await;
    let mut guest = books.begin("orders").await;
    guest.save_snapshot("o", &snapshot(2)).await.unwrap();
    guest.save_snapshot("o", &snapshot(1)).await.unwrap();
    let why = refusal(guest.save_snapshot("o", &snapshot(4)).await);
    assert_eq!(why, "a snapshot of version 4, and the stream is at 3");
    assert!(refusal(guest.save_snapshot("new", &snapshot(1)).await).ends_with("is at 0"));
    assert!(books.commit(guest).await.unwrap());
    let stream = books.load("orders", "o").await;
    assert_eq!(stream.snapshot, Some(snapshot(2)));
    assert_eq!(names(&stream), [(3, "c")]);
}

#[tokio::test]
async fn whoever_expects_another_version_is_told_and_goes_on() {
    let books = Books::open().await;
    books.append("orders", "o", 0, &["a", "b"]).await;
    let mut guest = books.begin("orders").await;
    for expected in [0, 1, 3, u64::MAX] {
        let refused = guest.append("o", expected, &events(&["x"]), None).await;
        assert_eq!(refused, Err(EventError::Conflict(2)), "{expected}");
    }
    guest.append("o", 2, &events(&["c"]), None).await.unwrap();
    assert!(books.commit(guest).await.unwrap());
    assert_eq!(names(&books.load("orders", "o").await), [(1, "a"), (2, "b"), (3, "c")]);
}

/// The second one waits for the first one's commit, even where it brings more events than the first.
#[tokio::test]
async fn appends_to_one_stream_take_turns() {
    let books = Books::open().await;
    let mut first = books.begin("orders").await;
    let mut second = books.begin("orders").await;
    first.append("o", 0, &events(&["a"]), None).await.unwrap();
    let waits = async {
        let refused = second.append("o", 0, &events(&["x", "y", "z"]), None).await;
        assert_eq!(refused, Err(EventError::Conflict(1)));
        second.append("o", 1, &events(&["b"]), None).await.unwrap();
        assert!(books.commit(second).await.unwrap());
    };
    let commits = async {
        let waiting =
            "select count(*)::text from pg_stat_activity where datname = current_database()
            and wait_event_type = 'Lock' and query like '%events_append%'";
        let begun = Instant::now();
        while books.0.texts(waiting).await != [Some("1".into())] {
            assert!(begun.elapsed() < Duration::from_secs(10), "the second append does not wait");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(books.commit(first).await.unwrap());
    };
    tokio::join!(waits, commits);
    assert_eq!(names(&books.load("orders", "o").await), [(1, "a"), (2, "b")]);
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_by_name() {
    let books = Books::open().await;
    let mut guest = books.begin("stock").await;
    let long = |n| "ž".repeat(n);
    for (stream, event, rule) in [
        (String::new(), event("e", 1), "a stream's id has 1 to 500 characters"),
        (long(501), event("e", 1), "a stream's id has 1 to 500 characters"),
        ("a\0b".into(), event("e", 1), "a stream's id has no NUL"),
        ("s".into(), event("", 1), "an event's type has 1 to 200 characters"),
        ("s".into(), event("a\0b", 1), "an event's type has no NUL"),
        ("s".into(), event("e", (1 << 20) + 1), "an event has at most 1048576 bytes"),
    ] {
        assert_eq!(refusal(guest.append(&stream, 0, &[event], None).await), rule);
    }
    let typed = |content_type| Payload::new(content_type, "x");
    let odd = Event { event_type: "e".into(), payload: typed(long(201)) };
    let why = refusal(guest.append("s", 0, &[odd], None).await);
    assert_eq!(why, "a content type has at most 200 characters");
    guest.append(&long(500), 0, &[event("fits", 1 << 20)], None).await.unwrap();
    let state = |bytes| Payload::json(vec![b'x'; bytes]);
    let large = Snapshot { version: 1, state: state((1 << 20) + 1) };
    let why = refusal(guest.save_snapshot(&long(500), &large).await);
    assert_eq!(why, "a snapshot has at most 1048576 bytes");
    assert!(books.commit(guest).await.unwrap());
    assert_eq!(books.load("stock", &long(500)).await.events.len(), 1);
}

/// A snapshot makes room again, so that what is loaded at once stays bounded.
#[tokio::test]
async fn no_more_comes_after_a_snapshot_than_can_be_loaded() {
    const RULE: &str = "at most 10000 events and 4194304 bytes come after a snapshot";
    let books = Books::open().await;
    let mut guest = books.begin("stock").await;
    let many: Vec<_> = (0..10_001).map(|_| event("e", 1)).collect();
    assert_eq!(refusal(guest.append("many", 0, &many, None).await), RULE);
    guest.append("many", 0, &many[..10_000], None).await.unwrap();
    assert_eq!(refusal(guest.append("many", 10_000, &many[..1], None).await), RULE);
    guest.save_snapshot("many", &snapshot(1)).await.unwrap();
    guest.append("many", 10_000, &many[..1], None).await.unwrap();

    for version in 0..3 {
        guest.append("large", version, &[event("e", 1 << 20)], None).await.unwrap();
    }
    assert_eq!(refusal(guest.append("large", 3, &[event("e", 1 << 20)], None).await), RULE);
    guest.save_snapshot("large", &snapshot(3)).await.unwrap();
    guest.append("large", 3, &[event("e", 1 << 20)], None).await.unwrap();
    assert!(books.commit(guest).await.unwrap());
    assert_eq!(books.load("stock", "many").await.events.len(), 10_000);
}

#[tokio::test]
async fn a_plugin_sees_its_own_streams_only() {
    let books = Books::open().await;
    books.append("orders", "same", 0, &["a"]).await;
    books.append("stock", "same", 0, &["b", "c"]).await;
    assert_eq!(names(&books.load("orders", "same").await), [(1, "a")]);
    assert_eq!(names(&books.load("stock", "same").await), [(1, "b"), (2, "c")]);
}

/// One with `sql` may call the same functions: it is still itself, and bound by the same rules.
#[tokio::test]
async fn sql_is_no_way_to_the_streams_of_others() {
    let books = Books::open().await;
    books.append("stock", "s", 0, &["theirs"]).await;
    for statement in [
        "select * from wasaga.events",
        "insert into wasaga.events values ('stock', 's', 2, 'x', 'x', '', null)",
        "update wasaga.plugin_roles set event_store = true",
        "select wasaga.event_plugin()",
        "select wasaga.stream_tail('stock', 's')",
        "select * from wasaga.snapshots",
    ] {
        let refused = run(&books, "orders", statement).await.expect_err(statement);
        assert_eq!(refused.code, "42501", "{statement}");
    }
    // Names that the functions would meet, were they looked up in the caller's schemas.
    let mut guest = books.begin("orders").await;
    for statement in [
        "create table plugin_roles (plugin text, role text, event_store boolean)",
        "insert into plugin_roles select 'stock', current_user, true",
        "create temp table plugin_roles as select * from plugin_orders.plugin_roles",
        "create function octet_length(bytea) returns int return 1 / 0",
        "select set_config('search_path', 'plugin_orders, pg_temp, pg_catalog', true)",
    ] {
        guest.execute(statement, &[]).await.unwrap();
    }
    assert_eq!(guest.load("s").await, Ok(Stream::default()));
    let append = "select refused from wasaga_guest.events_append($1, 0, '{e}', '{t}', '{x}', null)";
    let answer = guest.query(append, &[SqlValue::Text(String::new())]).await.unwrap();
    assert_eq!(answer.rows[0][0], SqlValue::Text("a stream's id has 1 to 500 characters".into()));
    let answer = guest.query(append, &[SqlValue::Text("s".into())]).await.unwrap();
    assert_eq!(answer.rows[0][0], SqlValue::Null);
    assert!(books.commit(guest).await.unwrap());
    assert_eq!(names(&books.load("stock", "s").await), [(1, "theirs")]);
    assert_eq!(names(&books.load("orders", "s").await), [(1, "e")]);
}

#[tokio::test]
async fn without_the_grant_there_is_nothing() {
    let books = Books::open().await;
    let load = "select * from wasaga_guest.events_load('s')";
    let refused = run(&books, "outsider", load).await.unwrap_err();
    assert!(refused.code == "42501" && refused.message.contains("not granted"), "{refused}");
    // A grant that is taken back is gone with the next activation.
    books.0.store.activate(module("orders", true, false)).await.unwrap();
    assert_eq!(run(&books, "orders", load).await.unwrap_err().code, "42501");
}

async fn run(books: &Books, plugin: &str, statement: &str) -> Result<SqlRows, SqlError> {
    books.begin(plugin).await.query(statement, &[]).await
}
