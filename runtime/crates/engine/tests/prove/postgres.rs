//! The store on Postgres, by the functions that hosts use. Whatever is done to it is done to the reference as well: both
//! have to answer the same, and to hold the same afterwards.
//!
//! A case's milliseconds are kept as [`MILLISECOND`]s: the time that a run takes is nothing beside them.

use std::{slice, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{json, value::to_raw_value};
use uuid::Uuid;
use wasaga_domain::{
    attempt::Direction,
    clock::{Clock, SystemClock, UnixMillis},
    definition::Definition,
    ids::{Digest, HostId, PluginName, SagaId},
    journal::{Entry, EntryKind},
    mail::{Mail, MailContent},
    manifest::{Capabilities, Manifest, Migration},
    outcome::{Effect, ErrorDetail},
    ports::{GuestDatabase, ModuleStore, NewModule},
    sql::SqlValue,
    start::NewSaga,
    state::Status,
};
use wasaga_engine::{
    definitions::DefinitionSource,
    driver::claims::{Loaded, Reach, claim},
};
use wasaga_store::{
    Store as Database,
    commit::{JournalEntry, Position, Transition, Verdict},
    mail::Posted,
    saga_start::Started,
    testing::{TestDatabase, database},
    testing_sql::Session,
};

use crate::{
    memory::{Memory, child_output, topic},
    store::{Row, Start, Store},
};

/// A case's millisecond, in the database.
const MILLISECOND: Duration = Duration::from_secs(1_000);

/// No run takes longer.
const LEASE: Duration = Duration::from_hours(3);

const NOTES: &str = "create table notes (saga text, note text); create index on notes (saga)";

/// A database for one case after another.
pub struct Server {
    database: TestDatabase,
    session: Session,
    /// Whoever holds the children.
    nursery: HostId,
}

impl Server {
    pub async fn new() -> Self {
        let database = database().await;
        let migration = Migration { version: 1, name: "notes".into(), up: NOTES.into() };
        let manifest = Manifest {
            name: worker(),
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
        database.store.activate(module).await.unwrap();
        let nursery = database.store.host_register("nursery", "0", LEASE).await.unwrap();
        let session = Session::open(&database.url).await;
        Self { database, session, nursery }
    }

    /// Nothing claims what a case that failed has left.
    pub async fn clear(&mut self) {
        let sql = "delete from wasaga.timers;
            update wasaga.sagas set status = 'failed', host_id = null, ready_at = null
            where status not in ('completed', 'compensated', 'failed')";
        self.session.run(sql).await;
    }
}

fn worker() -> PluginName {
    "worker".parse().unwrap()
}

/// A case on both stores.
pub struct Twin<'a> {
    server: &'a mut Server,
    memory: Memory,
    definitions: One,
    saga: SagaId,
    /// How far the case's time is ahead of the database's timers.
    ahead: Duration,
    commits: u32,
}

struct One(Arc<Definition>);

#[async_trait]
impl DefinitionSource for One {
    async fn definition(&self, _: &str, _: u32) -> Result<Arc<Definition>, String> {
        Ok(Arc::clone(&self.0))
    }
}

impl<'a> Twin<'a> {
    pub fn new(server: &'a mut Server, memory: Memory, saga: SagaId) -> Self {
        let definitions = One(Arc::clone(memory.definition()));
        Self { server, memory, definitions, saga, ahead: Duration::ZERO, commits: 0 }
    }

    fn store(&self) -> &Database {
        &self.server.database.store
    }

    async fn texts(&mut self, sql: &str) -> Vec<String> {
        self.server.session.texts(sql).await.into_iter().flatten().collect()
    }

    async fn row(&mut self) -> Row {
        let (saga, topic) = (self.saga, topic(self.saga));
        let sql = format!(
            "select json_build_object('host', s.host_id, 'ready', s.ready_at is not null, 'epoch', s.epoch,
                 'sequence', s.sequence, 'interruptions', s.interruptions, 'status', s.status, 'state', s.state,
                 'mail', (select count(*) from wasaga.mail m where m.saga_id = s.id and m.number <= s.mail),
                 'due', (select round(extract(epoch from due_at - clock_timestamp()) / {})::bigint
                     from wasaga.timers where saga_id = s.id),
                 'waits', (select coalesce(json_object_agg(correlation, step), '{{}}') from wasaga.waits
                     where saga_id = s.id),
                 'early', (select coalesce(json_object_agg(correlation, cardinality(arrived_keys)), '{{}}')
                     from wasaga.waits where topic = '{topic}' and saga_id is null),
                 'journal', (select count(*) from wasaga.journal j where j.saga_id = s.id),
                 'sent', (select count(*) from wasaga.task_out o where o.saga_id = s.id),
                 'notes', (select count(*) from plugin_worker.notes n where n.saga = s.id::text),
                 'children', (select coalesce(json_object_agg(c.id, json_build_object('mail', c.mail,
                     'ended', c.status in ('completed', 'compensated', 'failed'))), '{{}}')
                     from wasaga.sagas c where c.parent_id = s.id))::text
             from wasaga.sagas s where s.id = '{saga}'",
            MILLISECOND.as_secs()
        );
        let row = self.texts(&sql).await.pop().expect("the saga is there");
        let row: Row = serde_json::from_str(&row).unwrap();
        let ahead = self.ahead.as_millis() as i64;
        Row { due: row.due.map(|due| due - ahead), ..row }
    }

    async fn compare(&mut self) {
        assert_eq!(self.row().await, self.memory.row(), "(Postgres, memory)");
    }

    async fn note(&self, host: HostId, next: &Transition, note: &str) -> Verdict {
        let until = SystemClock.now().after(Duration::from_secs(30));
        let mut guest = self.store().begin(&worker(), until).await.unwrap();
        let values = [self.saga.to_string(), note.to_owned()].map(SqlValue::Text);
        guest.execute("insert into notes (saga, note) values ($1, $2)", &values).await.unwrap();
        self.store().saga_commit_guest(host, next, guest).await.unwrap()
    }

    /// In one transaction with another saga's transition, the first time under a lease that is not the host's.
    async fn commit_with_another(&self, host: HostId, next: Transition) -> Verdict {
        let definition = self.memory.definition();
        let input = child_output();
        let now = SystemClock.now();
        let other = NewSaga::of(definition, None, input, Uuid::new_v4(), now);
        self.store().sagas_start(host, slice::from_ref(&other)).await.unwrap();
        let position = Position { host: Some(host), epoch: 1, sequence: 0, mail: 0 };
        let end = ended(other.id, position, None);
        let stale = Transition { epoch: 0, ..end.clone() };
        let last = self.commits.is_multiple_of(8);
        let batch = if last { [next, stale] } else { [stale, next] };
        let verdicts = self.store().sagas_commit(host, &batch).await.unwrap();
        assert_eq!(
            verdicts[usize::from(last)],
            Verdict::Lost,
            "another saga's, and another lease's"
        );
        let ended = self.store().sagas_commit(host, slice::from_ref(&end)).await.unwrap();
        assert_eq!(ended, [Verdict::Committed { mail: 0 }], "another saga's");
        verdicts[usize::from(!last)]
    }

    /// Others take up the children that were started.
    async fn take_children(&mut self) {
        let sql = format!(
            "update wasaga.sagas set host_id = {}, epoch = epoch + 1, ready_at = null
             where parent_id = '{}' and host_id is null and status = 'pending'",
            self.server.nursery, self.saga
        );
        self.server.session.run(&sql).await;
    }
}

/// The end of a saga of one step.
fn ended(saga: SagaId, position: Position, error: Option<&ErrorDetail>) -> Transition {
    let Position { epoch, sequence, mail, .. } = position;
    let (status, course, kind, output) = match error {
        None => (Status::Completed, json!("completed"), EntryKind::Succeeded, Some(child_output())),
        Some(error) => {
            let course = json!({ "compensated": error });
            (Status::Compensated, course, EntryKind::Compensated, None)
        }
    };
    let entry = Entry::of_saga(kind, Direction::Forward, UnixMillis(0));
    Transition {
        saga,
        epoch,
        sequence,
        version: None,
        status,
        state: to_raw_value(&json!({ "course": course, "mail_seen": mail })).unwrap(),
        settles: true,
        seen: mail,
        due: None,
        clears: false,
        entries: vec![JournalEntry { step: None, entry: Entry { output, ..entry } }],
        waits: Vec::new(),
        effects: Vec::new(),
        cancels: Vec::new(),
        hooks: Vec::new(),
    }
}

impl Store for Twin<'_> {
    async fn host(&mut self) -> HostId {
        let host = self.store().host_register("prove", "0", LEASE).await.unwrap();
        self.memory.admit(host);
        host
    }

    async fn host_dies(&mut self, host: HostId) {
        let sql = format!("update wasaga.hosts set lease_until = '-infinity' where id = {host}");
        self.server.session.run(&sql).await;
        self.memory.host_dies(host).await;
    }

    async fn start(&mut self, saga: &NewSaga, start: Start) {
        match start {
            Start::Leased(host) => {
                let started = self.store().sagas_start(host, slice::from_ref(saga)).await.unwrap();
                assert_eq!(started, [Started::New]);
            }
            Start::Unopened => {
                let sql = format!(
                    "insert into wasaga.sagas (id, definition, version, nonce, input_type, input, ready_at, epoch,
                         status, state)
                     values ('{}', '{}', {}, {}, 'application/json', '1', now(), 0, 'pending',
                         '{{\"course\": \"unopened\"}}')",
                    saga.id, saga.definition, saga.version, saga.nonce
                );
                self.server.session.run(&sql).await;
            }
        }
        self.memory.start(saga, start).await;
        self.compare().await;
    }

    async fn claim(&mut self, host: HostId) -> Option<Loaded> {
        let passed = self.ahead.as_millis() as u64 * MILLISECOND.as_secs();
        let sql = format!(
            "update wasaga.timers set due_at = due_at - interval '{passed} seconds' where saga_id = '{}'",
            self.saga
        );
        self.server.session.run(&sql).await;
        self.ahead = Duration::ZERO;
        let claims = claim(self.store(), &self.definitions, host, 1, Reach::All).await.unwrap();
        let mut loaded = claims.loaded;
        let expected = self.memory.claim(host).await;
        let seen = |loaded: &Loaded| {
            let held = &loaded.held;
            (
                held.facts.id,
                held.epoch,
                held.sequence,
                held.mail,
                held.state.clone(),
                loaded.mail.clone(),
            )
        };
        assert_eq!(loaded.first().map(seen), expected.as_ref().map(seen), "(Postgres, memory)");
        self.compare().await;
        loaded.pop()
    }

    async fn release(&mut self, host: HostId, epoch: i64) {
        self.store().sagas_release(host, &[(self.saga, epoch)]).await.unwrap();
        self.memory.release(host, epoch).await;
        self.compare().await;
    }

    async fn commit(&mut self, host: HostId, next: &Transition, note: Option<&str>) -> Verdict {
        let due = next.due.map(|due| MILLISECOND * due.as_millis() as u32);
        let scaled = Transition { due, ..next.clone() };
        let verdict = match note {
            Some(note) => self.note(host, &scaled, note).await,
            None if self.commits.is_multiple_of(4) => self.commit_with_another(host, scaled).await,
            None => self.store().sagas_commit(host, slice::from_ref(&scaled)).await.unwrap()[0],
        };
        self.commits += 1;
        let expected = self.memory.commit(host, next, note).await;
        assert_eq!(verdict, expected, "(Postgres, memory)");
        if next.effects.iter().any(|keyed| matches!(keyed.effect, Effect::Start(_))) {
            self.take_children().await;
        }
        // A timer that was set now is as far ahead as the case's time is.
        if next.due.is_some() && matches!(verdict, Verdict::Committed { .. }) {
            self.ahead = Duration::ZERO;
        }
        self.compare().await;
        verdict
    }

    async fn position(&mut self) -> Position {
        let position = self.store().sagas_position(&[self.saga]).await.unwrap()[0];
        assert_eq!(position, Some(self.memory.position().await), "(Postgres, memory)");
        position.unwrap()
    }

    async fn mail(&mut self, seen: i64) -> Vec<Mail> {
        let mut mail = self.store().mail_load(&[(self.saga, seen)]).await.unwrap();
        let mail = mail.remove(&self.saga).unwrap_or_default();
        assert_eq!(mail, self.memory.mail(seen).await, "(Postgres, memory)");
        mail
    }

    async fn post(&mut self, content: &MailContent) -> bool {
        let posted = match content {
            MailContent::Verb { verb, by } => self.store().saga_ask(self.saga, verb, by).await,
            MailContent::Signal { name, payload } => {
                self.store().saga_signal(self.saga, name, payload).await
            }
            MailContent::Reply { .. } | MailContent::Child(_) => panic!("nobody posts it"),
        };
        let accepted = matches!(posted.unwrap(), Posted::Accepted(_));
        assert_eq!(accepted, self.memory.post(content).await, "(Postgres, memory)");
        self.compare().await;
        accepted
    }

    async fn deliver(&mut self, correlation: &str, value: &str) {
        let sql = format!(
            "do $$ begin perform wasaga.replies_deliver(array['{}'], array['{correlation}'],
             array[null]::bytea[], array['[]']::jsonb[], array['{value}']::bytea[], 3600000); end $$",
            topic(self.saga)
        );
        self.server.session.run(&sql).await;
        self.memory.deliver(correlation, value).await;
        self.compare().await;
    }

    async fn child_ends(&mut self, child: SagaId, error: Option<&ErrorDetail>) {
        let position = self.store().sagas_position(&[child]).await.unwrap()[0];
        let end = ended(child, position.expect("it was started"), error);
        let nursery = self.server.nursery;
        let ended = self.store().sagas_commit(nursery, slice::from_ref(&end)).await.unwrap();
        assert!(matches!(ended[0], Verdict::Committed { .. }), "a child ends");
        self.memory.child_ends(child, error).await;
        self.compare().await;
    }

    async fn time_passes(&mut self, by: Duration) {
        self.ahead += by;
        self.memory.time_passes(by).await;
    }

    async fn check(&mut self) {
        let saga = self.saga;
        let rows = self.store().journal_list(saga).await.unwrap();
        assert_eq!(rows.len(), self.memory.journal.len(), "entries");
        for (row, JournalEntry { step, entry }) in rows.iter().zip(&self.memory.journal) {
            assert_eq!(
                (row.kind, &row.step, row.direction, row.attempt, row.started_at, row.at),
                (entry.kind, step, entry.direction, entry.attempt, entry.started_at, entry.at)
            );
            assert_eq!(
                (&row.output, &row.error, &row.by),
                (&entry.output, &entry.error, &entry.by)
            );
        }
        self.mail(0).await;
        let sent = "select idempotency_key from wasaga.task_out where saga_id";
        let sent = self.texts(&format!("{sent} = '{saga}' order by id")).await;
        assert_eq!(sent, self.memory.sent, "messages");
        let notes = "select note from plugin_worker.notes where saga";
        let mut notes = self.texts(&format!("{notes} = '{saga}' order by note")).await;
        let mut expected = self.memory.notes.clone();
        notes.sort_unstable();
        expected.sort_unstable();
        assert_eq!(notes, expected, "what guests wrote");
    }

    fn memory(&self) -> &Memory {
        &self.memory
    }
}
