//! `wasaga.sagas` and `wasaga.journal` for whoever looks from outside: the API, the demo, an operator. Nothing here
//! takes a lease or changes a row.

use serde_json::value::RawValue;
use sqlx::{FromRow, types::Json};
use wasaga_domain::{
    attempt::Direction,
    clock::UnixMillis,
    ids::{Digest, SagaId},
    journal::EntryKind,
    outcome::ErrorDetail,
    payload::Payload,
    state::{State, Status},
};

use crate::{Store, StoreError};

/// A saga as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct SagaRow {
    /// Its id.
    pub id: SagaId,
    /// Its definition's name.
    pub definition: String,
    /// Its definition's version.
    pub version: u32,
    /// What it runs for.
    pub business_key: Option<String>,
    /// What its reader sees.
    pub status: Status,
    /// Where it stands.
    pub state: State,
    /// The number of the last journal entry that `state` knows.
    pub sequence: u32,
    /// Its input.
    pub input: Payload,
    /// When it was accepted.
    pub created_at: UnixMillis,
    /// When it last changed.
    pub updated_at: UnixMillis,
    /// The names of its definition's steps, in order; empty where the database does not know the definition.
    pub steps: Vec<String>,
    /// Whether it has been moved to the archive.
    pub archived: bool,
}

/// A journal entry, as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalRow {
    /// Its place in the saga's journal, from 1.
    pub number: u32,
    /// What it tells.
    pub kind: EntryKind,
    /// The step's name; absent: it is about the saga.
    pub step: Option<String>,
    /// Forward or undo.
    pub direction: Direction,
    /// From 1; 0 where no attempt is meant.
    pub attempt: u32,
    /// When the attempt, or the change, began.
    pub started_at: UnixMillis,
    /// When it was decided.
    pub at: UnixMillis,
    /// What the step returned.
    pub output: Option<Payload>,
    /// What its undo needs to know.
    pub undo: Option<Payload>,
    /// What a wait is handed back.
    pub memo: Option<Payload>,
    /// What went wrong.
    pub error: Option<ErrorDetail>,
    /// The code that ran.
    pub digest: Option<Digest>,
    /// Who asked for it, where somebody did.
    pub by: Option<String>,
}

/// How much there is to do, each counted by an index of its own size: no look at what is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromRow)]
pub struct QueueDepths {
    /// In tasks to be done.
    pub task_in: i64,
    /// Messages to be published.
    pub task_out: i64,
    /// In tasks that were given up, and that nobody has taken care of.
    pub dead_letter_in: i64,
    /// Messages that were given up, and that nobody has taken care of.
    pub dead_letter_out: i64,
    /// Sagas that a host works on.
    pub sagas_leased: i64,
    /// Sagas that wait for a host.
    pub sagas_ready: i64,
    /// Sagas that wait for time.
    pub sagas_timed: i64,
}

#[derive(FromRow)]
struct Saga {
    definition: String,
    version: i32,
    business_key: Option<String>,
    status: String,
    state: Json<Box<RawValue>>,
    sequence: i32,
    input_type: String,
    input: Vec<u8>,
    created_ms: i64,
    updated_ms: i64,
    steps: Option<Json<Vec<String>>>,
}

#[derive(FromRow)]
struct Entry {
    number: i32,
    kind: String,
    step: Option<String>,
    forward: bool,
    attempt: i32,
    started_ms: i64,
    at_ms: i64,
    output_type: Option<String>,
    output: Option<Vec<u8>>,
    undo_type: Option<String>,
    undo: Option<Vec<u8>>,
    memo_type: Option<String>,
    memo: Option<Vec<u8>>,
    error: Option<Json<ErrorDetail>>,
    digest: Option<Vec<u8>>,
    by: Option<String>,
}

/// The columns of [`Saga`], of this table, whose rows last changed at that column.
macro_rules! saga_of {
    ($table:literal, $updated_at:literal) => {
        concat!(
            "select s.definition, s.version, s.business_key, s.status, s.state, s.sequence, s.input_type, s.input,
                 wasaga.millis(s.created_at) as created_ms, wasaga.millis(s.", $updated_at, ") as updated_ms,
                 jsonb_path_query_array(d.content, '$.steps[*].name') as steps
             from ", $table, " s
             left join wasaga.definitions d on d.name = s.definition and d.version = s.version
             where s.id = $1 order by s.", $updated_at, " desc limit 1"
        )
    };
}

/// The columns of [`Entry`], of this table.
macro_rules! journal_of {
    ($table:literal, $and:literal) => {
        concat!(
            "select number, kind, step, direction = 'forward' as forward, attempt,
                 wasaga.millis(started_at) as started_ms, wasaga.millis(at) as at_ms, output_type, output, undo_type,
                 undo, memo_type, memo, error, digest, by
             from ", $table, " where saga_id = $1 ", $and, " order by number"
        )
    };
}

impl Store {
    /// The saga of this id; of one that was archived, and whose id was used again, the last one.
    pub async fn saga_get(&self, id: SagaId) -> Result<Option<SagaRow>, StoreError> {
        let live = self.saga_row(id, saga_of!("wasaga.sagas", "updated_at"), false).await?;
        if live.is_some() {
            return Ok(live);
        }
        self.saga_row(id, saga_of!("wasaga.archived_sagas", "ended_at"), true).await
    }

    async fn saga_row(
        &self,
        id: SagaId,
        sql: &'static str,
        archived: bool,
    ) -> Result<Option<SagaRow>, StoreError> {
        let saga: Option<Saga> = sqlx::query_as(sql).bind(id.0).fetch_optional(&self.pool).await?;
        saga.map(|saga| saga.row(id, archived)).transpose()
    }

    /// A saga's journal, in order; empty also where there is no such saga.
    pub async fn journal_list(&self, id: SagaId) -> Result<Vec<JournalRow>, StoreError> {
        let live = journal_of!("wasaga.journal", "");
        let archived = journal_of!(
            "wasaga.archived_journal",
            "and ended_at = (select max(ended_at) from wasaga.archived_sagas where id = $1)"
        );
        let mut entries: Vec<Entry> = sqlx::query_as(live).bind(id.0).fetch_all(&self.pool).await?;
        if entries.is_empty() {
            entries = sqlx::query_as(archived).bind(id.0).fetch_all(&self.pool).await?;
        }
        entries.into_iter().map(|entry| entry.row(id)).collect()
    }

    /// How much there is to do.
    pub async fn queue_depths(&self) -> Result<QueueDepths, StoreError> {
        let depths = sqlx::query_as(
            "select (select count(*) from wasaga.task_in where status in ('wait', 'work')) as task_in,
                 (select count(*) from wasaga.task_out where status in ('wait', 'work')) as task_out,
                 (select count(*) from wasaga.dead_letter_in where finished_at is null) as dead_letter_in,
                 (select count(*) from wasaga.dead_letter_out where finished_at is null) as dead_letter_out,
                 (select count(*) from wasaga.sagas where host_id is not null) as sagas_leased,
                 (select count(*) from wasaga.sagas where ready_at is not null) as sagas_ready,
                 (select count(*) from wasaga.timers) as sagas_timed",
        );
        Ok(depths.fetch_one(&self.pool).await?)
    }

    /// How many sagas ask for an operator.
    pub async fn sagas_needing_attention(&self) -> Result<i64, StoreError> {
        let count = sqlx::query_scalar("select count(*) from wasaga.sagas where needs_attention");
        Ok(count.fetch_one(&self.pool).await?)
    }
}

impl Saga {
    fn row(self, id: SagaId, archived: bool) -> Result<SagaRow, StoreError> {
        let unfit = |column, what: &dyn ToString| {
            StoreError::stored("wasaga.sagas", column, id, what.to_string())
        };
        Ok(SagaRow {
            id,
            version: u32::try_from(self.version).map_err(|error| unfit("version", &error))?,
            status: Status::parse(&self.status).ok_or_else(|| unfit("status", &self.status))?,
            definition: self.definition,
            business_key: self.business_key,
            state: shown(&self.state.0),
            sequence: u32::try_from(self.sequence).map_err(|error| unfit("sequence", &error))?,
            input: Payload::new(self.input_type, self.input),
            created_at: UnixMillis(self.created_ms),
            updated_at: UnixMillis(self.updated_ms),
            steps: self.steps.map(|steps| steps.0).unwrap_or_default(),
            archived,
        })
    }
}

/// A state for a reader; one that can't be read says so.
pub(crate) fn shown(state: &RawValue) -> State {
    serde_json::from_str(state.get()).unwrap_or_else(|error| State::unreadable(error.to_string()))
}

impl Entry {
    fn row(self, id: SagaId) -> Result<JournalRow, StoreError> {
        let number = self.number;
        let unfit = |column, what: &dyn ToString| {
            let row = format!("{id} {number}");
            StoreError::stored("wasaga.journal", column, row, what.to_string())
        };
        let digest = self.digest.map(<[u8; 32]>::try_from).transpose();
        Ok(JournalRow {
            number: u32::try_from(number).map_err(|error| unfit("number", &error))?,
            kind: EntryKind::parse(&self.kind).ok_or_else(|| unfit("kind", &self.kind))?,
            step: self.step,
            direction: if self.forward { Direction::Forward } else { Direction::Undo },
            attempt: u32::try_from(self.attempt).map_err(|error| unfit("attempt", &error))?,
            started_at: UnixMillis(self.started_ms),
            at: UnixMillis(self.at_ms),
            output: payload(self.output_type, self.output),
            undo: payload(self.undo_type, self.undo),
            memo: payload(self.memo_type, self.memo),
            error: self.error.map(|error| error.0),
            digest: digest.map_err(|_| unfit("digest", &"not 32 bytes"))?.map(Digest),
            by: self.by,
        })
    }
}

fn payload(content_type: Option<String>, data: Option<Vec<u8>>) -> Option<Payload> {
    content_type.zip(data).map(|(content_type, data)| Payload::new(content_type, data))
}
