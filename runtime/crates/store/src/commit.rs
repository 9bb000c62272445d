//! The one commit: transitions of many sagas in one transaction and one round trip, by `wasaga.sagas_commit`.
//! A guest that used SQL is a batch of one, on its own connection.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use serde_json::{Value, json, value::RawValue};
use sqlx::{
    FromRow, Postgres,
    postgres::{PgArguments, PgExecutor},
    query::QueryAs,
    types::Json,
};
use uuid::Uuid;
use wasaga_domain::{
    ids::{HostId, PluginName, SagaId},
    journal::Entry,
    lifecycle::Told,
    mail::{Audit, Verb},
    message::{Message, Outgoing},
    outcome::{Effect, ErrorDetail, SagaStart},
    payload::Payload,
    state::Status,
};

use crate::{Store, StoreError, headers};

/// One saga's step from a state to the next, under its lease.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The saga.
    pub saga: SagaId,
    /// The lease's epoch.
    pub epoch: i64,
    /// Journal entries before.
    pub sequence: i32,
    /// The next status.
    pub status: Status,
    /// The version of its definition that the next state is of, where it is another one.
    pub version: Option<u32>,
    /// The next state, as JSON.
    pub state: Box<RawValue>,
    /// Whether the saga parks or ends: its lease is given up, unless there is mail past `seen`.
    pub settles: bool,
    /// The number of the last piece of mail that the state has taken in.
    pub seen: i64,
    /// When it wants to go on by itself.
    pub due: Option<Duration>,
    /// Whether timers and waits that were registered before are void.
    pub clears: bool,
    /// New journal entries.
    pub entries: Vec<JournalEntry>,
    /// New waits.
    pub waits: Vec<RegisteredWait>,
    /// What else is to be done with it.
    pub effects: Vec<KeyedEffect>,
    /// Sagas that turn back with this one.
    pub cancels: Vec<SagaId>,
    /// What its plugin hears of its life.
    pub hooks: Vec<Hook>,
}

/// An entry with its step's name.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    /// The step's name.
    pub step: Option<String>,
    /// The entry.
    pub entry: Entry,
}

/// A wait for a message.
#[derive(Clone, Debug)]
pub struct RegisteredWait {
    /// The topic.
    pub topic: String,
    /// The correlation key.
    pub correlation: String,
    /// The step's place in the definition.
    pub step: u16,
}

/// An effect, and the key that all attempts to have it done share.
#[derive(Clone, Debug)]
pub struct KeyedEffect {
    /// What to do.
    pub effect: Effect,
    /// The attempt's idempotency key.
    pub idempotency_key: String,
}

/// An event in a saga's life, for its plugin.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Who hears of it.
    pub plugin: PluginName,
    /// Its journal entry's number; 0: the start.
    pub number: i32,
    /// What is told.
    pub told: Told,
}

/// What became of a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is committed; the saga's last piece of mail has this number.
    Committed {
        /// The number.
        mail: i64,
    },
    /// Nothing was changed: the saga wanted to settle, but has mail that the state has not taken in.
    Mail {
        /// The number of the last piece.
        mail: i64,
    },
    /// Nothing was changed: the lease, or the sequence, is not the caller's.
    Lost,
}

/// What the database knows of a saga's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The lease's holder.
    pub host: Option<HostId>,
    /// The lease's epoch.
    pub epoch: i64,
    /// Journal entries so far.
    pub sequence: i32,
    /// The number of the last piece of mail.
    pub mail: i64,
}

/// The arguments of the function, column by column.
#[derive(Default)]
pub(crate) struct Columns<'a> {
    ids: Vec<Uuid>,
    epochs: Vec<i64>,
    sequences: Vec<i32>,
    next_sequences: Vec<i32>,
    statuses: Vec<&'static str>,
    versions: Vec<Option<i32>>,
    states: Vec<Json<&'a RawValue>>,
    settles: Vec<bool>,
    seen: Vec<i64>,
    due_ms: Vec<Option<i64>>,
    clears: Vec<bool>,
    journal: JournalColumns<'a>,
    wait_transitions: Vec<i32>,
    wait_topics: Vec<&'a str>,
    wait_correlations: Vec<&'a str>,
    wait_steps: Vec<i16>,
    effects: EffectColumns<'a>,
    hooks: Vec<Value>,
}

#[derive(Default)]
struct JournalColumns<'a> {
    transitions: Vec<i32>,
    numbers: Vec<i32>,
    kinds: Vec<&'static str>,
    steps: Vec<Option<&'a str>>,
    directions: Vec<&'static str>,
    attempts: Vec<i32>,
    started: Vec<i64>,
    at: Vec<i64>,
    outputs: PayloadColumns<'a>,
    undos: PayloadColumns<'a>,
    memos: PayloadColumns<'a>,
    errors: Vec<Option<Json<&'a ErrorDetail>>>,
    digests: Vec<Option<&'a [u8]>>,
    by: Vec<Option<&'a str>>,
}

#[derive(Default)]
struct PayloadColumns<'a> {
    types: Vec<Option<&'a str>>,
    data: Vec<Option<&'a [u8]>>,
}

impl<'a> PayloadColumns<'a> {
    fn push(&mut self, payload: Option<&'a Payload>) {
        self.types.push(payload.map(|payload| payload.content_type.as_ref()));
        self.data.push(payload.map(|payload| &payload.data[..]));
    }
}

/// What attempts want to have done, each with the place (from 1) of what returned it: messages column by column, and
/// what is rare as JSON.
#[derive(Default)]
pub(crate) struct EffectColumns<'a> {
    owners: Vec<i32>,
    idempotency_keys: Vec<&'a str>,
    topics: Vec<&'a str>,
    keys: Vec<Option<&'a [u8]>>,
    headers: Vec<Json<Value>>,
    values: Vec<Option<&'a [u8]>>,
    rollbacks: Vec<Option<Json<Value>>>,
    starts: Vec<Value>,
    posts: Vec<Value>,
}

impl<'a> EffectColumns<'a> {
    pub(crate) fn push(&mut self, owner: i32, effect: &'a KeyedEffect) {
        match &effect.effect {
            Effect::Send(outgoing) => self.send(owner, &effect.idempotency_key, outgoing),
            Effect::Start(start) => self.starts.push(started(owner, start)),
            Effect::Signal { saga, name, payload } => self.posts.push(json!({
                "t": owner, "saga": saga, "kind": "signal", "name": name, "content": payload,
            })),
            Effect::Cancel(saga) => self.cancel(owner, *saga, "asked for by a worker"),
        }
    }

    fn cancel(&mut self, owner: i32, saga: SagaId, why: &str) {
        self.posts.push(json!({
            "t": owner, "saga": saga, "kind": "verb", "turns_back": true,
            "content": { "verb": Verb::Cancel, "by": Audit::because(why) },
        }));
    }

    fn send(&mut self, owner: i32, idempotency_key: &'a str, outgoing: &'a Outgoing) {
        self.owners.push(owner);
        self.idempotency_keys.push(idempotency_key);
        self.topics.push(&outgoing.message.topic);
        self.keys.push(outgoing.message.key.as_deref());
        self.headers.push(Json(headers::to_json(&outgoing.message.headers)));
        self.values.push(outgoing.message.value.as_deref());
        self.rollbacks.push(outgoing.rollback.as_ref().map(headers::message_to_json).map(Json));
    }

    /// Binds the seven arguments `o_…` of the commit functions, `p_starts` and `p_posts`.
    pub(crate) fn bind<O>(
        self,
        query: QueryAs<'a, Postgres, O, PgArguments>,
    ) -> QueryAs<'a, Postgres, O, PgArguments> {
        query
            .bind(self.owners)
            .bind(self.idempotency_keys)
            .bind(self.topics)
            .bind(self.keys)
            .bind(self.headers)
            .bind(self.values)
            .bind(self.rollbacks)
            .bind(some(self.starts))
            .bind(some(self.posts))
    }
}

fn some(values: Vec<Value>) -> Option<Json<Vec<Value>>> {
    (!values.is_empty()).then_some(Json(values))
}

/// As `wasaga.starts_add` reads it.
fn started(owner: i32, SagaStart { saga, child }: &SagaStart) -> Value {
    json!({
        "t": owner, "id": saga.id, "definition": saga.definition, "version": saga.version,
        "business_key": saga.business_key, "nonce": saga.nonce, "traceparent": saga.traceparent,
        "input_type": saga.input.content_type, "input": BASE64_STANDARD.encode(&saga.input.data),
        "state": saga.state, "child": child,
    })
}

impl<'a> Columns<'a> {
    pub(crate) fn new(transitions: &'a [Transition]) -> Self {
        let mut columns = Self::default();
        for (place, transition) in (1..).zip(transitions) {
            columns.push(place, transition);
        }
        columns
    }

    fn push(&mut self, place: i32, transition: &'a Transition) {
        self.ids.push(transition.saga.0);
        self.epochs.push(transition.epoch);
        self.sequences.push(transition.sequence);
        self.next_sequences.push(transition.next_sequence());
        self.statuses.push(transition.status.as_str());
        self.versions.push(transition.version.map(u32::cast_signed));
        self.states.push(Json(&transition.state));
        self.settles.push(transition.settles);
        self.seen.push(transition.seen);
        self.due_ms.push(transition.due.map(|due| due.as_millis() as i64));
        self.clears.push(transition.clears);
        for (number, entry) in (transition.sequence + 1..).zip(&transition.entries) {
            self.journal.push(place, number, entry);
        }
        for wait in &transition.waits {
            self.wait_transitions.push(place);
            self.wait_topics.push(&wait.topic);
            self.wait_correlations.push(&wait.correlation);
            self.wait_steps.push(wait.step as i16);
        }
        for effect in &transition.effects {
            self.effects.push(place, effect);
        }
        for Hook { plugin, number, told } in &transition.hooks {
            self.hooks.push(json!({
                "t": place, "plugin": plugin, "number": number, "value": told,
            }));
        }
        for saga in &transition.cancels {
            self.effects.cancel(place, *saga, "its parent turns back");
        }
    }

    /// Binds the arguments after the host.
    pub(crate) fn bind<O>(
        self,
        query: QueryAs<'a, Postgres, O, PgArguments>,
    ) -> QueryAs<'a, Postgres, O, PgArguments> {
        let query = query
            .bind(self.ids)
            .bind(self.epochs)
            .bind(self.sequences)
            .bind(self.next_sequences)
            .bind(self.statuses)
            .bind(self.versions)
            .bind(self.states)
            .bind(self.settles)
            .bind(self.seen)
            .bind(self.due_ms)
            .bind(self.clears);
        let query = self
            .journal
            .bind(query)
            .bind(self.wait_transitions)
            .bind(self.wait_topics)
            .bind(self.wait_correlations)
            .bind(self.wait_steps);
        self.effects.bind(query).bind(some(self.hooks))
    }
}

impl<'a> JournalColumns<'a> {
    fn push(&mut self, transition: i32, number: i32, journalled: &'a JournalEntry) {
        let entry = &journalled.entry;
        self.transitions.push(transition);
        self.numbers.push(number);
        self.kinds.push(entry.kind.as_str());
        self.steps.push(journalled.step.as_deref());
        self.directions.push(entry.direction.as_str());
        self.attempts.push(entry.attempt as i32);
        self.started.push(entry.started_at.0);
        self.at.push(entry.at.0);
        self.outputs.push(entry.output.as_ref());
        self.undos.push(entry.undo.as_ref());
        self.memos.push(entry.memo.as_ref());
        self.errors.push(entry.error.as_ref().map(Json));
        self.digests.push(entry.digest.as_ref().map(|digest| &digest.0[..]));
        self.by.push(entry.by.as_deref());
    }

    fn bind<O>(
        self,
        query: QueryAs<'a, Postgres, O, PgArguments>,
    ) -> QueryAs<'a, Postgres, O, PgArguments> {
        query
            .bind(self.transitions)
            .bind(self.numbers)
            .bind(self.kinds)
            .bind(self.steps)
            .bind(self.directions)
            .bind(self.attempts)
            .bind(self.started)
            .bind(self.at)
            .bind(self.outputs.types)
            .bind(self.outputs.data)
            .bind(self.undos.types)
            .bind(self.undos.data)
            .bind(self.memos.types)
            .bind(self.memos.data)
            .bind(self.errors)
            .bind(self.digests)
            .bind(self.by)
    }
}

impl Transition {
    /// Journal entries after it.
    pub fn next_sequence(&self) -> i32 {
        self.sequence + self.entries.len() as i32
    }

    /// How large it is, by what guests have a say in.
    pub fn bytes(&self) -> usize {
        let payload = |payload: &Option<Payload>| payload.as_ref().map_or(0, |p| p.data.len());
        let entry = |JournalEntry { entry, .. }: &JournalEntry| {
            payload(&entry.output) + payload(&entry.undo) + payload(&entry.memo)
        };
        let value = |message: &Message| message.value.as_ref().map_or(0, Bytes::len);
        let effect = |KeyedEffect { effect, .. }: &KeyedEffect| match effect {
            Effect::Send(outgoing) => {
                value(&outgoing.message) + outgoing.rollback.as_ref().map_or(0, value)
            }
            Effect::Start(start) => start.saga.input.data.len(),
            Effect::Signal { payload, .. } => payload.data.len(),
            Effect::Cancel(_) => 0,
        };
        self.state.get().len()
            + self.entries.iter().map(entry).sum::<usize>()
            + self.effects.iter().map(effect).sum::<usize>()
    }
}

#[derive(FromRow)]
pub(crate) struct Answer {
    t: i32,
    result: String,
    mail: i64,
}

const COMMIT: &str = "select t, result, mail from wasaga.sagas_commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
    $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33,
    $34, $35, $36, $37, $38, $39, $40, $41, $42, $43)";
impl Store {
    /// Commits transitions of different sagas in one transaction: an answer each, in the order given. On an error none
    /// is committed, save after [`StoreError::Connection`], when all may be: [`Store::sagas_position`] tells.
    pub async fn sagas_commit(
        &self,
        host: HostId,
        transitions: &[Transition],
    ) -> Result<Vec<Verdict>, StoreError> {
        let query = Columns::new(transitions).bind(sqlx::query_as(COMMIT).bind(host.0));
        verdicts(query, &self.pool, transitions.len()).await
    }

    /// What the database knows of these sagas' leases, in the order given; nothing where there is no such saga.
    pub async fn sagas_position(
        &self,
        sagas: &[SagaId],
    ) -> Result<Vec<Option<Position>>, StoreError> {
        let ids: Vec<Uuid> = sagas.iter().map(|saga| saga.0).collect();
        let rows: Vec<(Uuid, Option<i64>, i64, i32, i64)> = sqlx::query_as(
            "select id, host_id, epoch, sequence, mail from wasaga.sagas where id = any ($1)",
        )
        .bind(&ids)
        .fetch_all(&self.pool)
        .await?;
        let position = |saga: &Uuid| {
            let (_, host, epoch, sequence, mail) = *rows.iter().find(|row| row.0 == *saga)?;
            Some(Position { host: host.map(HostId), epoch, sequence, mail })
        };
        Ok(ids.iter().map(position).collect())
    }
}

pub(crate) async fn verdicts<'q>(
    query: QueryAs<'q, Postgres, Answer, PgArguments>,
    executor: impl PgExecutor<'q>,
    transitions: usize,
) -> Result<Vec<Verdict>, StoreError> {
    let answers = query.fetch_all(executor).await?;
    let mut verdicts = vec![Verdict::Lost; transitions];
    for Answer { t, result, mail } in answers {
        let verdict = match result.as_str() {
            "committed" => Verdict::Committed { mail },
            "mail" => Verdict::Mail { mail },
            _ => Verdict::Lost,
        };
        verdicts[t as usize - 1] = verdict;
    }
    Ok(verdicts)
}
