//! A database with a host and its sagas, and transitions of them.

use std::time::Duration;

use serde_json::{json, value::to_raw_value};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};
use wasaga_domain::{
    attempt::Direction,
    clock::UnixMillis,
    ids::{HostId, SagaId},
    journal::{Entry, EntryKind},
    message::{Message, Outgoing},
    outcome::Effect,
    payload::Payload,
    start::NewSaga,
    state::{OpenStep, State, Status},
};
use wasaga_store::{
    Store, StoreError,
    commit::{JournalEntry, KeyedEffect, RegisteredWait, Transition, Verdict},
    testing::{TestDatabase, database},
};

pub const TOPIC: &str = "replies";
pub const LEASE: Duration = Duration::from_mins(1);

pub struct Stage {
    pub db: TestDatabase,
    pub host: HostId,
}

impl Stage {
    pub async fn new() -> Self {
        let db = database().await;
        let host = db.store.host_register("test", "0", LEASE).await.unwrap();
        Self { db, host }
    }

    pub fn store(&self) -> &Store {
        &self.db.store
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.db.url).await.unwrap()
    }

    /// Sagas that were just started, leased to the host with epoch 1.
    pub async fn sagas(&self, count: usize) -> Vec<SagaId> {
        let new: Vec<_> = (0..count).map(|n| new_saga(&n.to_string())).collect();
        self.store().sagas_start(self.host, &new).await.unwrap();
        new.into_iter().map(|saga| saga.id).collect()
    }

    pub async fn saga(&self) -> SagaId {
        self.sagas(1).await[0]
    }

    pub async fn commit(&self, transition: &Transition) -> Result<Verdict, StoreError> {
        let verdicts =
            self.store().sagas_commit(self.host, std::slice::from_ref(transition)).await?;
        Ok(verdicts[0])
    }

    /// Commits a wait for `correlation`: the saga parks.
    pub async fn parked(&self, correlation: &str) -> SagaId {
        let saga = self.saga().await;
        let verdict = self.commit(&waiting(saga, correlation)).await.unwrap();
        assert_eq!(verdict, Verdict::Committed { mail: 0 });
        saga
    }

    /// The first column of the only row.
    pub async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.connect().await).await.unwrap()
    }

    /// Waits until so many statements on this database wait for a lock.
    pub async fn until_blocked(&self, statements: i64) {
        let sql = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        until(async || self.number(sql).await == statements).await;
    }
}

/// Waits until a condition holds.
pub async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < end, "it never happened");
        sleep(Duration::from_millis(2)).await;
    }
}

pub fn new_saga(key: &str) -> NewSaga {
    NewSaga {
        id: SagaId::derived("test", key),
        definition: "test".into(),
        version: 1,
        business_key: Some(key.into()),
        nonce: rand_nonce(),
        traceparent: None,
        input: Payload::json(format!("\"{key}\"")),
        state: state(),
    }
}

fn rand_nonce() -> u32 {
    uuid::Uuid::new_v4().as_fields().0
}

pub fn entry(kind: EntryKind) -> JournalEntry {
    let entry = Entry::of_saga(kind, Direction::Forward, UnixMillis(1));
    JournalEntry {
        step: Some("a".into()),
        entry: Entry { attempt: 1, output: Some(Payload::json("{}")), ..entry },
    }
}

/// The first transition of a saga: a step is done, and it goes on.
pub fn step(saga: SagaId) -> Transition {
    Transition {
        saga,
        epoch: 1,
        sequence: 0,
        status: Status::Running,
        version: None,
        state: to_raw_value(&state()).unwrap(),
        settles: false,
        seen: 0,
        due: None,
        clears: false,
        entries: vec![entry(EntryKind::Succeeded)],
        waits: Vec::new(),
        effects: Vec::new(),
        cancels: Vec::new(),
        hooks: Vec::new(),
    }
}

/// The first transition of a saga: it parks, and waits a minute for a message.
pub fn waiting(saga: SagaId, correlation: &str) -> Transition {
    Transition {
        status: Status::Waiting,
        settles: true,
        due: Some(Duration::from_mins(1)),
        waits: vec![RegisteredWait {
            topic: TOPIC.into(),
            correlation: correlation.into(),
            step: 0,
        }],
        entries: vec![entry(EntryKind::Waiting)],
        ..step(saga)
    }
}

/// The first transition of a saga: it ends.
pub fn ending(saga: SagaId) -> Transition {
    Transition { status: Status::Completed, settles: true, ..step(saga) }
}

/// A message for the outbox.
pub fn command() -> KeyedEffect {
    let message = Message { topic: "commands".into(), key: None, headers: Vec::new(), value: None };
    KeyedEffect {
        effect: Effect::Send(Outgoing { message, rollback: None }),
        idempotency_key: "key".into(),
    }
}

/// Delivers messages, as the inbox does, on a connection of the caller's.
pub async fn deliver(
    connection: &mut PgConnection,
    correlations: &[String],
) -> Result<Vec<uuid::Uuid>, StoreError> {
    let count = correlations.len();
    let woken = sqlx::query_scalar("select wasaga.replies_deliver($1, $2, $3, $4, $5, 60000)")
        .bind(vec![TOPIC; count])
        .bind(correlations)
        .bind(vec![None::<Vec<u8>>; count])
        .bind(vec![sqlx::types::Json(serde_json::json!([])); count])
        .bind(vec![Some(b"yes".to_vec()); count])
        .fetch_one(connection)
        .await?;
    Ok(woken)
}

/// A saga's first step is about to run.
fn state() -> State {
    let open = OpenStep::first(0, UnixMillis(1));
    serde_json::from_value(json!({ "course": "forward", "open": [open] })).unwrap()
}
